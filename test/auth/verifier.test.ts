// Tests verdicts on credentials, and their cost.

import { describe, expect, it } from 'vitest'
import { hashSync } from 'bcryptjs'
import type { Attempt, AttemptOutcome } from '../../src/auth/attempts.ts'
import compare, { type Comparison } from '../../src/auth/bcrypt.ts'
import { parseHtpasswd } from '../../src/users/htpasswd.ts'
import { bindingOf, formatKeptLine } from '../../src/users/old-password-line.ts'
import { createThrottle } from '../../src/auth/throttle.ts'
import { createVerifiedCache } from '../../src/auth/verified-cache.ts'
import { createVerifier } from '../../src/auth/verifier.ts'

const HASHES = {
  a: hashSync('a', 4),
  b: hashSync('b', 6),
  old: hashSync('old', 4),
  older: hashSync('older', 5),
}
const LINES = { alice: `alice:${HASHES.a}`, bob: `bob:${HASHES.b}` }
const NOW = Date.parse('2026-01-31T12:00:00.000Z')
const MINUTE = 60_000
const HERE = '192.0.2.1'

/** Returns a line that keeps an old password of alice. */
function keptLine(hash: string, validUntil: number, beside = HASHES.a): string {
  return formatKeptLine({ username: 'alice', hash, validUntil, binding: bindingOf(beside) })
}

const ROTATED = [
  LINES.alice,
  keptLine(HASHES.old, NOW + MINUTE),
  keptLine(HASHES.older, NOW + 2 * MINUTE),
  LINES.bob,
].join('\n')

interface TestOptions {
  readonly ttlMs?: number | 'off'
  /** Replaces a bcrypt check. */
  readonly outcome?: AttemptOutcome
}

function verifierOver(text: string, { ttlMs = MINUTE, outcome }: TestOptions = {}) {
  const parse = (content: string) => parseHtpasswd(Buffer.from(content), 'htpasswd', NOW)
  const state = {
    table: parse(text),
    now: NOW,
    attempts: [] as Attempt[],
    throttle: createThrottle({ failures: 3, windowMs: MINUTE }, () => 0),
    used: [] as string[],
    accepted: [] as string[],
  }
  const run = (attempt: Attempt): Promise<AttemptOutcome> => {
    state.attempts.push(attempt)
    if (outcome !== undefined) return Promise.resolve(outcome)
    const index = compare(attempt.comparison)
    return Promise.resolve(index < 0 ? { kind: 'unmatched' } : { kind: 'matched', index })
  }
  const verifier = createVerifier({
    table: () => state.table,
    cache: createVerifiedCache(ttlMs, () => state.now),
    attempts: { run },
    throttle: state.throttle,
    onUse: ({ id }) => state.used.push(id),
    onAccepted: (means) => state.accepted.push(means),
    now: () => state.now,
  })
  return {
    state,
    verify: (username: string, password: string, source = HERE) =>
      verifier.verify({ username, password }, source),
    /** Replaces the users. */
    reload: (content: string) => {
      state.table = parse(content)
    },
  }
}

const ok = { kind: 'ok', username: 'alice', isOldPassword: false, hash: expect.any(String) as string }
const oldOk = { ...ok, isOldPassword: true }
const refused = (reason: string, isKnown = true) => ({ kind: 'refused', reason, isKnown })

function costsOf({ hashes, dummyHashes }: Comparison): readonly string[] {
  return [...hashes, ...dummyHashes].map((hash) => hash.slice(4, 6)).toSorted()
}

describe('a verdict', () => {
  it.each([
    ['the right password', 'alice', 'a', ok],
    ['a wrong password', 'alice', 'b', refused('wrong password')],
    ['an unknown user', 'carol', 'a', refused('unknown user', false)],
    ['a name of Object.prototype', 'constructor', 'a', refused('unknown user', false)],
    ['73 bytes', 'alice', 'x'.repeat(73), refused('password too long')],
    ['73 bytes for an unknown user', 'carol', 'x'.repeat(73), refused('password too long', false)],
    ['72 bytes in 36 characters and one more', 'alice', 'é'.repeat(37), refused('password too long')],
  ])('for %s', async (_what, username, password, verdict) => {
    const { verify } = verifierOver(`${LINES.alice}\n${LINES.bob}\n`)
    expect(await verify(username, password)).toEqual(verdict)
  })

  it('is reported only if the login is valid, and whether it was remembered', async () => {
    const { verify, state } = verifierOver(`${LINES.alice}\n`)
    for (const password of ['b', 'a', 'a']) await verify('alice', password)
    await verify('carol', 'a')
    expect(state.accepted).toEqual(['verified', 'remembered'])
  })

  it('names the hash that matched, also when the login is remembered', async () => {
    const { verify } = verifierOver(ROTATED)
    for (const password of ['a', 'old', 'older', 'a', 'older']) {
      const hash = HASHES[password as keyof typeof HASHES]
      expect(await verify('alice', password)).toMatchObject({ kind: 'ok', hash })
    }
  })

  it('refuses a longer password with the same first 72 bytes, without a bcrypt check', async () => {
    const long = 'x'.repeat(72)
    const { verify, state } = verifierOver(`alice:${hashSync(long, 4)}`)
    expect(await verify('alice', long)).toEqual(ok)
    expect(await verify('alice', `${long}y`)).toEqual(refused('password too long'))
    expect(state.attempts).toHaveLength(1)
    expect(compare({ password: `${long}y`, hashes: [hashSync(long, 4)], dummyHashes: [] })).toBe(-1)
  })

  it('costs the same for every refusal, for all entries, and while old passwords expire', async () => {
    const { verify, state } = verifierOver(ROTATED)
    for (const minutes of [0, 1, 2]) {
      state.now = NOW + minutes * MINUTE
      for (const username of ['alice', 'bob', 'nobody']) await verify(username, 'wrong')
    }
    const costs = state.attempts.map(({ comparison }) => costsOf(comparison))
    expect(costs).toEqual(Array.from({ length: 9 }, () => ['04', '04', '05', '06']))
  })

  it('reads the cache equally often for every name, because no bcrypt check hides the time of a throttled refusal', async () => {
    const recalled: string[] = []
    const table = parseHtpasswd(Buffer.from(ROTATED), 'htpasswd', NOW)
    const cache = {
      recall: ({ username }: { username: string }) => {
        recalled.push(username)
        return 'none' as const
      },
      remember: () => undefined,
    }
    const run = () => Promise.resolve({ kind: 'throttled', retryAfterMs: 1 } as const)
    const verifier = createVerifier({
      table: () => table,
      cache,
      attempts: { run },
      throttle: createThrottle('off', () => 0),
      onUse: () => undefined,
      now: () => NOW,
    })
    for (const username of ['alice', 'bob', 'nobody'])
      await verifier.verify({ username, password: 'x' }, HERE)
    const timesOf = (username: string) => recalled.filter((name) => name === username).length
    expect([timesOf('alice'), timesOf('bob'), timesOf('nobody')]).toEqual([4, 4, 4])
  })

  it('is a refusal if the entry was removed or changed while the check waited', async () => {
    for (const [next, isKnown] of [
      [LINES.bob, false],
      [`alice:${hashSync('a', 4)}`, true],
    ] as const) {
      const { verify, reload } = verifierOver(LINES.alice)
      const verdicts = [verify('alice', 'a'), verify('alice', 'wrong')]
      reload(next)
      expect(await Promise.all(verdicts)).toEqual([
        refused('entry changed', isKnown),
        refused('entry changed', isKnown),
      ])
    }
  })

  it.each<AttemptOutcome>([{ kind: 'busy' }, { kind: 'throttled', retryAfterMs: 1_234 }])(
    'is not a refusal if the attempt was $kind',
    async (outcome) => {
      const { verify } = verifierOver(LINES.alice, { outcome })
      expect(await verify('alice', 'a')).toEqual(outcome)
    },
  )
})

describe('an old password', () => {
  it('is valid until it expires, and reported as old', async () => {
    const { verify, state } = verifierOver(ROTATED, { ttlMs: 'off' })
    expect(await verify('alice', 'a')).toEqual(ok)
    expect(await verify('alice', 'old')).toEqual(oldOk)
    expect(await verify('alice', 'older')).toEqual(oldOk)
    state.now = NOW + MINUTE - 1
    expect(await verify('alice', 'old')).toEqual(oldOk)
    state.now = NOW + MINUTE
    expect(await verify('alice', 'old')).toEqual(refused('wrong password'))
    expect(await verify('alice', 'older')).toEqual(oldOk)
    expect(await verify('alice', 'a')).toEqual(ok)
  })

  it('is refused once it has expired, even if it was remembered and the file did not change', async () => {
    const { verify, state } = verifierOver(ROTATED, { ttlMs: 60 * MINUTE })
    expect(await verify('alice', 'old')).toEqual(oldOk)
    state.now = NOW + MINUTE - 1
    expect(await verify('alice', 'old')).toEqual(oldOk)
    expect(state.attempts).toHaveLength(1)
    state.now = NOW + MINUTE
    expect(await verify('alice', 'old')).toEqual(refused('wrong password'))
  })

  it('is not valid for another user', async () => {
    const { verify } = verifierOver(ROTATED)
    expect(await verify('bob', 'old')).toEqual(refused('wrong password'))
    expect(await verify('carol', 'old')).toEqual(refused('unknown user', false))
  })

  it.each([
    ['revoked', (): string => `${LINES.alice}\n${LINES.bob}`],
    ['removed with its user', (): string => LINES.bob],
    ['bound to an entry that changed', (): string => ROTATED.replace(HASHES.a, hashSync('third', 4))],
  ])('is refused if it was %s, while a check waited, and if it was remembered', async (_what, next) => {
    const { verify, reload } = verifierOver(ROTATED)
    const waiting = verify('alice', 'older')
    expect(await verify('alice', 'old')).toEqual(oldOk)
    const second = verifierOver(ROTATED)
    const late = second.verify('alice', 'old')
    second.reload(next())
    expect((await late).kind).toBe('refused')
    await waiting
    reload(next())
    expect((await verify('alice', 'old')).kind).toBe('refused')
  })

  it('is refused if it expired while the check waited', async () => {
    const { verify, state } = verifierOver(ROTATED)
    const verdict = verify('alice', 'old')
    state.now = NOW + MINUTE
    expect(await verdict).toEqual(refused('entry changed'))
  })

  it('is the verdict for a password that was changed with --keep-old while its check waited', async () => {
    const { verify, reload } = verifierOver(LINES.alice)
    const verdict = verify('alice', 'a')
    reload(`alice:${HASHES.b}\n${keptLine(HASHES.a, NOW + MINUTE, HASHES.b)}`)
    expect(await verdict).toEqual(oldOk)
    expect(await verify('alice', 'a')).toEqual(oldOk)
  })
})

describe('a remembered login', () => {
  it('is not checked again for the source that proved it', async () => {
    const { verify, state } = verifierOver(LINES.alice)
    for (let i = 0; i < 5; i++) await verify('alice', 'a')
    expect(state.attempts).toHaveLength(1)
  })

  it('is checked once for each source, so a source learns nothing from others', async () => {
    const { verify, state } = verifierOver(LINES.alice)
    for (const source of ['192.0.2.1', '192.0.2.2', '192.0.2.1', '2001:db8::/64', '192.0.2.2'])
      await verify('alice', 'a', source)
    expect(state.attempts.map(({ source }) => source)).toEqual(['192.0.2.1', '192.0.2.2', '2001:db8::/64'])
  })

  it('is always a success', async () => {
    const { verify, state } = verifierOver(LINES.alice)
    for (let i = 0; i < 3; i++) await verify('alice', 'wrong')
    expect(state.attempts).toHaveLength(3)
  })

  it('is shared by simultaneous equal attempts from one source', async () => {
    const { verify, state } = verifierOver(LINES.alice)
    const attempts = Array.from({ length: 20 }, () => verify('alice', 'a'))
    expect(await Promise.all(attempts)).toEqual(Array.from({ length: 20 }, () => ok))
    expect(state.attempts).toHaveLength(1)
  })

  it('is not shared by several sources, which are throttled separately', async () => {
    const { verify, state } = verifierOver(LINES.alice)
    await Promise.all(['192.0.2.1', '192.0.2.2', '192.0.2.1'].map((source) => verify('alice', 'a', source)))
    expect(state.attempts.map(({ source }) => source)).toEqual(['192.0.2.1', '192.0.2.2'])
  })

  it('is not shared by attempts before and after a change of the entry', async () => {
    const { verify, state, reload } = verifierOver(LINES.alice)
    const before = verify('alice', 'a')
    reload(`alice:${hashSync('new', 4)}`)
    const after = verify('alice', 'a')
    expect(await before).toEqual(refused('entry changed'))
    expect(await after).toEqual(refused('wrong password'))
    expect(state.attempts).toHaveLength(2)
  })

  it('is not used after its entry was changed or removed', async () => {
    const { verify, reload } = verifierOver(LINES.alice)
    await verify('alice', 'a')
    reload(`alice:${hashSync('new', 4)}`)
    expect(await verify('alice', 'a')).toEqual(refused('wrong password'))
    reload(LINES.bob)
    expect(await verify('alice', 'a')).toEqual(refused('unknown user', false))
  })

  it('is checked each time if remembering is off', async () => {
    const { verify, state } = verifierOver(LINES.alice, { ttlMs: 'off' })
    for (let i = 0; i < 3; i++) await verify('alice', 'a')
    expect(state.attempts).toHaveLength(3)
  })

  it('expires, and the next check counts as proven', async () => {
    const { verify, state } = verifierOver(LINES.alice, { ttlMs: MINUTE })
    await verify('alice', 'a')
    state.now += MINUTE - 1
    await verify('alice', 'a')
    state.now += 1
    await verify('alice', 'a')
    await verify('alice', 'b')
    await verify('alice', 'a', '192.0.2.2')
    expect(state.attempts.map(({ isProven }) => isProven)).toEqual([false, true, false, false])
  })
})
