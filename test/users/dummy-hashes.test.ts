import { describe, expect, it } from 'vitest'
import compare from '../../src/auth/bcrypt.ts'
import { remainingDummyHashes } from '../../src/users/dummy-hashes.ts'
import { parseHtpasswd } from '../../src/users/htpasswd.ts'
import { hashesAt, type UserTable } from '../../src/users/user-table.ts'
import { bindingOf, formatKeptLine } from '../../src/users/old-password-line.ts'

const DIGEST = 'abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234'
const NOW = Date.parse('2026-01-31T12:00:00.000Z')
const hashOf = (cost: number): string => `$2y$${String(cost).padStart(2, '0')}$${DIGEST}`
const costsOf = (hashes: readonly string[]): readonly number[] =>
  hashes.map((hash) => Number(hash.slice(4, 6))).toSorted((a, b) => a - b)

/** One user for each list: the cost of the entry, then of old passwords, which expire one minute after another. */
function tableOf(users: readonly (readonly number[])[]): UserTable {
  const lines = users.flatMap(([cost = 10, ...old], user) => {
    const [username, hash] = [`user${user}`, hashOf(cost)]
    const kept = old.map((oldCost, index) =>
      formatKeptLine({
        username,
        hash: hashOf(oldCost),
        validUntil: NOW + (index + 1) * 60_000,
        binding: bindingOf(hash),
      }),
    )
    return [`${username}:${hash}`, ...kept]
  })
  return parseHtpasswd(Buffer.from(lines.join('\n')), 'htpasswd', NOW)
}

/** The costs that refusals compute: for an unknown name, and for each user before and after each expiry. */
function refusals({ entries, dummyHashes }: UserTable): readonly (readonly number[])[] {
  const times = [0, 1, 2, 3, 4, 5].map((minutes) => NOW + minutes * 60_000)
  const known = [...entries.values()].flatMap((entry) => times.map((time) => hashesAt(entry, time)))
  return [[], ...known].map((hashes) => costsOf([...hashes, ...remainingDummyHashes(dummyHashes, hashes)]))
}

describe('every refusal computes the same bcrypts', () => {
  it.each<[what: string, users: readonly (readonly number[])[], computed: readonly number[]]>([
    ['no users', [], [10]],
    ['one user', [[12]], [12]],
    ['users with one cost', [[10], [10], [10]], [10]],
    ['users with several costs', [[5], [12], [10], [5]], [5, 10, 12]],
    ['an old password', [[10, 10], [10]], [10, 10]],
    ['an old password with another cost', [[10, 6], [10]], [6, 10]],
    ['old passwords of several users', [[10, 6, 6], [12, 10], [6], [4]], [4, 6, 6, 10, 12]],
    ['the greatest number', [[15, 15, 15, 15, 15], [4]], [4, 15, 15, 15, 15, 15]],
  ])('%s', (_what, users, computed) => {
    const table = tableOf(users)
    expect(table.problems).toEqual([])
    const all = refusals(table)
    expect(all).toHaveLength(1 + users.length * 6)
    for (const refusal of all) expect(refusal).toEqual(computed)
  })
})

it('dummy hashes are well-formed, match no password, and differ from parse to parse', () => {
  const { dummyHashes } = tableOf([[4], [5]])
  for (const dummyHash of dummyHashes) expect(dummyHash).toMatch(/^\$2b\$0[45]\$[./A-Za-z0-9]{53}$/)
  expect(compare({ password: 'x', hashes: dummyHashes, dummyHashes: [] })).toBe(-1)
  expect(tableOf([[4], [5]]).dummyHashes).not.toEqual(dummyHashes)
})
