// A refusal must take as long for one name as for another, or the time tells an attacker which names exist and
// which of them have a weaker hash or an old password beside the new one.
//
// So every refusal computes the same set of bcrypts: for each cost as many as the entry with most hashes of that
// cost has. Which of them are the entry's own and which are decoys cannot be seen from outside. Topping up the sum
// of the work alone would need more of the cheap ones for some names, and each has a fixed price besides. For a
// table of one cost this is one bcrypt; for a mixture it is less than twice the dearest entry.

import { randomBytes } from 'node:crypto'

import { BCRYPT_ALPHABET, DEFAULT_COST, SALT_AND_DIGEST_LENGTH } from './htpasswd-line.ts'

/** How many hashes there are of each cost. */
export type CostCounts = ReadonlyMap<number, number>

/** The counts of which both are a part. */
export function atLeast(counts: CostCounts, costs: readonly number[]): CostCounts {
  if (costs.length === 1 && counts.has(costs[0] ?? 0)) return counts
  const own = countsOf(costs)
  const isCovered = [...own].every(([cost, count]) => (counts.get(cost) ?? 0) >= count)
  if (isCovered) return counts
  const all = new Map(counts)
  for (const [cost, count] of own) all.set(cost, Math.max(count, counts.get(cost) ?? 0))
  return all
}

/** bcrypt strings that no password matches, so many of each cost; where nobody has a hash, one of the usual cost. */
export function createDecoys(counts: CostCounts): readonly string[] {
  const wanted = counts.size === 0 ? new Map([[DEFAULT_COST, 1]]) : counts
  return [...wanted].flatMap(([cost, count]) => Array.from({ length: count }, () => createDecoy(cost)))
}

/** The decoys that are left to compute when these hashes were, none for an unknown name. */
export function decoysBeside(decoys: readonly string[], hashes: readonly string[]): readonly string[] {
  return hashes.reduce((left, hash) => {
    const index = left.findIndex((decoy) => costOf(decoy) === costOf(hash))
    return index < 0 ? left : left.toSpliced(index, 1)
  }, decoys)
}

function countsOf(costs: readonly number[]): CostCounts {
  const counts = new Map<number, number>()
  for (const cost of costs) counts.set(cost, (counts.get(cost) ?? 0) + 1)
  return counts
}

function costOf(hash: string): string {
  return hash.slice('$2b$'.length, '$2b$10'.length)
}

function createDecoy(cost: number): string {
  const characters = Array.from(randomBytes(SALT_AND_DIGEST_LENGTH), (byte) =>
    BCRYPT_ALPHABET.charAt(byte % BCRYPT_ALPHABET.length),
  )
  return `$2b$${String(cost).padStart(2, '0')}$${characters.join('')}`
}
