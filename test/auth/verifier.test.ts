import { describe, expect, it } from 'vitest'
import { hashSync } from 'bcryptjs'
import compareForReal, { type Comparison } from '../../src/auth/bcrypt.ts'
import { parseHtpasswd } from '../../src/auth/htpasswd.ts'
import { createVerifiedCache } from '../../src/auth/verified-cache.ts'
import { createVerifier } from '../../src/auth/verifier.ts'

const LINES = { alice: `alice:${hashSync('a', 4)}`, bob: `bob:${hashSync('b', 6)}` }

function verifierOver(text: string, { ttlMs = 60_000 }: { ttlMs?: number | 'off' } = {}) {
  const state = { table: parseHtpasswd(Buffer.from(text), 'htpasswd'), comparisons: [] as Comparison[] }
  const compare = (comparison: Comparison): Promise<boolean> => {
    state.comparisons.push(comparison)
    return Promise.resolve(compareForReal(comparison))
  }
  const verifier = createVerifier({ table: () => state.table, cache: createVerifiedCache(ttlMs), compare })
  return { verifier, state }
}

/** What a check costs, in units of bcrypt's inner loop. */
function workOf({ hash, decoys }: Comparison): number {
  return [hash, ...decoys].reduce((sum, text) => sum + 2 ** Number(text.slice(4, 6)), 0)
}

describe('a verdict', () => {
  it.each([
    ['the right password', 'alice', 'a', { kind: 'ok', username: 'alice' }],
    ['a wrong password', 'alice', 'b', { kind: 'refused', reason: 'wrong password' }],
    ['an unknown user', 'carol', 'a', { kind: 'refused', reason: 'unknown user' }],
    ['a name of Object.prototype', 'constructor', 'a', { kind: 'refused', reason: 'unknown user' }],
    ['73 bytes', 'alice', 'x'.repeat(73), { kind: 'refused', reason: 'password too long' }],
    [
      '72 bytes in 36 characters and one more',
      'alice',
      'é'.repeat(37),
      { kind: 'refused', reason: 'password too long' },
    ],
  ])('for %s', async (_what, username, password, verdict) => {
    const { verifier } = verifierOver(`${LINES.alice}\n${LINES.bob}\n`)
    expect(await verifier.verify({ username, password })).toEqual(verdict)
  })

  it('costs the same for every refusal, whatever the costs of the entries', async () => {
    const { verifier, state } = verifierOver(`${LINES.alice}\n${LINES.bob}\n`)
    for (const username of ['alice', 'bob', 'nobody']) await verifier.verify({ username, password: 'wrong' })
    expect(state.comparisons.map(workOf)).toEqual([64, 64, 64])
  })

  it('is a refusal when the entry went or changed while the check waited', async () => {
    const { verifier, state } = verifierOver(LINES.alice)
    const verdict = verifier.verify({ username: 'alice', password: 'a' })
    state.table = parseHtpasswd(Buffer.from(LINES.bob), 'htpasswd')
    expect(await verdict).toEqual({ kind: 'refused', reason: 'entry changed' })
  })

  it('is busy, not a refusal, when the pool is', async () => {
    const table = parseHtpasswd(Buffer.from(LINES.alice), 'htpasswd')
    const cache = createVerifiedCache(60_000)
    const verifier = createVerifier({ table: () => table, cache, compare: () => Promise.resolve('busy') })
    expect(await verifier.verify({ username: 'alice', password: 'a' })).toEqual({ kind: 'busy' })
  })
})

describe('a remembered login', () => {
  it('is not computed again', async () => {
    const { verifier, state } = verifierOver(LINES.alice)
    for (let i = 0; i < 5; i++) await verifier.verify({ username: 'alice', password: 'a' })
    expect(state.comparisons).toHaveLength(1)
  })

  it('is shared by equal attempts that arrive together', async () => {
    const { verifier, state } = verifierOver(LINES.alice)
    const attempts = Array.from({ length: 20 }, () => verifier.verify({ username: 'alice', password: 'a' }))
    expect(new Set((await Promise.all(attempts)).map(({ kind }) => kind))).toEqual(new Set(['ok']))
    expect(state.comparisons).toHaveLength(1)
  })

  it('is forgotten when its entry changed or went', async () => {
    const { verifier, state } = verifierOver(LINES.alice)
    await verifier.verify({ username: 'alice', password: 'a' })
    state.table = parseHtpasswd(Buffer.from(`alice:${hashSync('new', 4)}`), 'htpasswd')
    expect((await verifier.verify({ username: 'alice', password: 'a' })).kind).toBe('refused')
    state.table = parseHtpasswd(Buffer.from(LINES.bob), 'htpasswd')
    expect((await verifier.verify({ username: 'alice', password: 'a' })).kind).toBe('refused')
  })

  it('is never another one whose parts read the same in a row', async () => {
    const cache = createVerifiedCache(60_000)
    const yes = () => Promise.resolve(true)
    const no = () => Promise.resolve(false)
    await cache.verify({ username: 'a', hash: 'h', password: 'b:c' }, yes)
    expect(await cache.verify({ username: 'a:b', hash: 'h', password: 'c' }, no)).toBe(false)
    expect(await cache.verify({ username: 'ah', hash: '', password: 'b:c' }, no)).toBe(false)
    expect(await cache.verify({ username: 'a', hash: 'h1:b:c', password: '' }, no)).toBe(false)
  })

  it('is computed each time when remembering is off', async () => {
    const { verifier, state } = verifierOver(LINES.alice, { ttlMs: 'off' })
    for (let i = 0; i < 3; i++) await verifier.verify({ username: 'alice', password: 'a' })
    expect(state.comparisons).toHaveLength(3)
  })

  it('does not outlast its time', async () => {
    const { verifier, state } = verifierOver(LINES.alice, { ttlMs: 1 })
    await verifier.verify({ username: 'alice', password: 'a' })
    await expect
      .poll(async () => {
        await verifier.verify({ username: 'alice', password: 'a' })
        return state.comparisons.length
      })
      .toBeGreaterThan(1)
  })

  it('that failed by a fault is tried anew', async () => {
    const cache = createVerifiedCache(60_000)
    const attempt = { username: 'a', hash: 'h', password: 'p' }
    await expect(cache.verify(attempt, () => Promise.reject(new Error('worker died')))).rejects.toThrow()
    expect(await cache.verify(attempt, () => Promise.resolve(true))).toBe(true)
  })
})
