// Creates dummy hashes, so that every refusal takes equally long.
// Threat: otherwise the time shows which names exist, and which have a weaker hash or an old password.
// So every refusal computes, for each cost, the most bcrypts that any entry of the table needs.
// Many cheap bcrypts with the same total work would take another time, because each bcrypt has a fixed overhead.

import { randomBytes } from 'node:crypto'

import { BCRYPT_ALPHABET, DEFAULT_COST, SALT_AND_DIGEST_LENGTH } from './htpasswd-line.ts'

export type CostCounts = ReadonlyMap<number, number>

export function raiseCounts(counts: CostCounts, costs: readonly number[]): CostCounts {
  if (costs.length === 1 && counts.has(costs[0] ?? 0)) return counts
  const own = countsOf(costs)
  const isCovered = [...own].every(([cost, count]) => (counts.get(cost) ?? 0) >= count)
  if (isCovered) return counts
  const all = new Map(counts)
  for (const [cost, count] of own) all.set(cost, Math.max(count, counts.get(cost) ?? 0))
  return all
}

export function createDummyHashes(counts: CostCounts): readonly string[] {
  const wanted = counts.size === 0 ? new Map([[DEFAULT_COST, 1]]) : counts
  return [...wanted].flatMap(([cost, count]) => Array.from({ length: count }, () => createDummyHash(cost)))
}

/** Each hash replaces one dummy hash of the same cost. */
export function remainingDummyHashes(dummyHashes: readonly string[], hashes: readonly string[]): readonly string[] {
  return hashes.reduce((left, hash) => {
    const index = left.findIndex((dummyHash) => costOf(dummyHash) === costOf(hash))
    return index < 0 ? left : left.toSpliced(index, 1)
  }, dummyHashes)
}

function countsOf(costs: readonly number[]): CostCounts {
  const counts = new Map<number, number>()
  for (const cost of costs) counts.set(cost, (counts.get(cost) ?? 0) + 1)
  return counts
}

function costOf(hash: string): string {
  return hash.slice('$2b$'.length, '$2b$10'.length)
}

function createDummyHash(cost: number): string {
  const characters = Array.from(randomBytes(SALT_AND_DIGEST_LENGTH), (byte) =>
    BCRYPT_ALPHABET.charAt(byte % BCRYPT_ALPHABET.length),
  )
  return `$2b$${String(cost).padStart(2, '0')}$${characters.join('')}`
}
