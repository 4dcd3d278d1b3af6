// Tests the queue of bcrypt checks.

import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { createAttempts, type AttemptOutcome, type Attempts } from '../../src/auth/attempts.ts'
import type { Comparison } from '../../src/auth/bcrypt.ts'
import { createThrottle } from '../../src/auth/throttle.ts'

const RIGHT = 'right'
const RETRY_MS = 60_000

interface Check {
  readonly comparison: Comparison
  finish(index: number | 'busy'): void
  fail(error: Error): void
}

interface Setting {
  readonly threads?: number
  readonly throttle?: 'off' | { readonly failures: number; readonly windowMs: number }
}

/** Creates attempts whose checks end when the test says so. */
function attemptsAt({ threads = 1, throttle = { failures: 20, windowMs: RETRY_MS } }: Setting = {}) {
  const checks: Check[] = []
  const waits: number[] = []
  const attempts = createAttempts({
    threads,
    onTurn: (waitedMs) => waits.push(waitedMs),
    throttle: createThrottle(throttle, () => Date.now()),
    compare: (comparison) =>
      new Promise((resolve, reject) => {
        checks.push({ comparison, finish: resolve, fail: reject })
      }),
  })
  return { attempts, checks, waits }
}

/** Ends checks in order, by their password, until there are no more. */
async function finishAll(checks: readonly Check[]): Promise<void> {
  for (const check of checks) {
    check.finish(check.comparison.password === RIGHT ? 0 : -1)
    await vi.advanceTimersByTimeAsync(0)
  }
}

let count = 0
function run(attempts: Attempts, source: string, password = 'wrong'): Promise<AttemptOutcome> {
  count += 1
  return attempts.run({
    source,
    username: `user${count}`,
    comparison: { password, hashes: [source], dummyHashes: [] },
    isProven: false,
  })
}

function times<T>(n: number, make: () => T): T[] {
  return Array.from({ length: n }, make)
}

async function kindsOf(outcomes: readonly Promise<AttemptOutcome>[]): Promise<Record<string, number>> {
  const kinds: Record<string, number> = {}
  for (const { kind } of await Promise.all(outcomes)) kinds[kind] = (kinds[kind] ?? 0) + 1
  return kinds
}

const sourcesOf = (checks: readonly Check[]) => checks.map(({ comparison }) => comparison.hashes[0])

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  expect(vi.getTimerCount(), 'timers left behind').toBe(0)
  vi.useRealTimers()
})

describe('an attempt', () => {
  it.each<[index: number | 'busy', outcome: AttemptOutcome]>([
    [0, { kind: 'matched', index: 0 }],
    [2, { kind: 'matched', index: 2 }],
    [-1, { kind: 'unmatched' }],
    ['busy', { kind: 'busy' }],
  ])('gets the outcome of its check: %s', async (index, outcome) => {
    const { attempts, checks } = attemptsAt()
    const attempt = run(attempts, 'a')
    checks[0]?.finish(index)
    expect(await attempt).toEqual(outcome)
  })

  it('rejects if its check fails, and the next attempt gets its turn', async () => {
    const { attempts, checks } = attemptsAt()
    const faulty = expect(run(attempts, 'a')).rejects.toThrow('worker died')
    const next = run(attempts, 'a', RIGHT)
    checks[0]?.fail(new Error('worker died'))
    await faulty
    checks[1]?.finish(0)
    expect(await next).toEqual({ kind: 'matched', index: 0 })
  })
})

describe('the pool', () => {
  it('reports how many attempts wait, and for how long each waited', async () => {
    const { attempts, checks, waits } = attemptsAt()
    const outcomes = times(3, () => run(attempts, 'a'))
    expect([attempts.waiting(), waits]).toEqual([2, [0]])
    await vi.advanceTimersByTimeAsync(500)
    await finishAll(checks)
    await Promise.all(outcomes)
    expect([attempts.waiting(), waits]).toEqual([0, [0, 500, 500]])
  })

  it('never gets more checks than it has threads', async () => {
    const { attempts, checks } = attemptsAt({ threads: 3, throttle: 'off' })
    const outcomes = times(10, () => run(attempts, 'a'))
    expect(checks).toHaveLength(3)
    checks[1]?.finish(-1)
    await vi.advanceTimersByTimeAsync(0)
    expect(checks).toHaveLength(4)
    await finishAll(checks)
    expect(await kindsOf(outcomes)).toEqual({ unmatched: 10 })
  })

  it('serves a login of a new source after the running checks and one of each other source', async () => {
    const { attempts, checks } = attemptsAt({ throttle: 'off' })
    const flood = times(64, () => run(attempts, 'flood'))
    const other = run(attempts, 'other')
    const fresh = run(attempts, 'fresh', RIGHT)
    await finishAll(checks)
    expect(sourcesOf(checks).slice(0, 5)).toEqual(['flood', 'flood', 'other', 'fresh', 'flood'])
    expect(await fresh).toEqual({ kind: 'matched', index: 0 })
    expect(await kindsOf([...flood, other])).toEqual({ unmatched: 65 })
  })
})

describe('hundreds of sources that guess at once', () => {
  it('delay a source without failures by two checks at most', async () => {
    const { attempts, checks } = attemptsAt()
    const sources = times(600, () => `guesser${(count += 1)}`)
    const first = sources.map((source) => run(attempts, source))
    await finishAll(checks)
    await Promise.all(first)
    const again = sources.map((source) => run(attempts, source))
    const fresh = run(attempts, 'fresh', RIGHT)
    await finishAll(checks)
    expect(sourcesOf(checks).indexOf('fresh')).toBeLessThanOrEqual(600 + 2)
    expect(await fresh).toEqual({ kind: 'matched', index: 0 })
    expect(await kindsOf(again)).toEqual({ unmatched: 600 })
  })

  it('lose a place in a full queue to a source without failures', async () => {
    const { attempts, checks } = attemptsAt()
    const sources = times(1_024, () => `guesser${(count += 1)}`)
    const first = sources.map((source) => run(attempts, source))
    await finishAll(checks)
    await Promise.all(first)
    const again = ['running', ...sources].map((source) => run(attempts, source))
    const fresh = run(attempts, 'fresh', RIGHT)
    await finishAll(checks)
    expect(await fresh).toEqual({ kind: 'matched', index: 0 })
    expect(await kindsOf(again)).toEqual({ unmatched: 1_024, busy: 1 })
  })
})

describe('the throttle', () => {
  it('refuses on arrival, without a check', async () => {
    const { attempts, checks } = attemptsAt({ throttle: { failures: 1, windowMs: RETRY_MS } })
    const first = run(attempts, 'a')
    checks[0]?.finish(-1)
    await first
    await vi.advanceTimersByTimeAsync(1_000)
    expect(await run(attempts, 'a', RIGHT)).toEqual({ kind: 'throttled', retryAfterMs: RETRY_MS - 1_000 })
    expect(checks).toHaveLength(1)
  })

  it('does not refuse a password that the source proved', async () => {
    const { attempts, checks } = attemptsAt({ throttle: { failures: 1, windowMs: RETRY_MS } })
    const first = run(attempts, 'a')
    checks[0]?.finish(-1)
    await first
    const comparison = { password: RIGHT, hashes: ['a'], dummyHashes: [] }
    const proven = attempts.run({ source: 'a', username: 'alice', comparison, isProven: true })
    checks[1]?.finish(0)
    expect(await proven).toEqual({ kind: 'matched', index: 0 })
  })

  it('refuses on arrival, without waiting for the checks of others', async () => {
    const { attempts, checks } = attemptsAt({ throttle: { failures: 1, windowMs: RETRY_MS } })
    const first = run(attempts, 'a')
    checks[0]?.finish(-1)
    await first
    const running = run(attempts, 'b')
    expect((await run(attempts, 'a')).kind).toBe('throttled')
    checks[1]?.finish(-1)
    await running
  })

  it('refuses again at the turn, because 64 attempts that arrive together have not failed yet', async () => {
    const { attempts, checks } = attemptsAt()
    const outcomes = times(64, () => run(attempts, 'a'))
    await finishAll(checks)
    expect(await kindsOf(outcomes)).toEqual({ unmatched: 20, throttled: 44 })
    expect(checks).toHaveLength(20)
  })

  it('is exceeded at most by the checks that run in the other threads', async () => {
    const { attempts, checks } = attemptsAt({ threads: 4 })
    const outcomes = times(64, () => run(attempts, 'a'))
    await finishAll(checks)
    const { unmatched } = await kindsOf(outcomes)
    expect(unmatched).toBeGreaterThanOrEqual(20)
    expect(unmatched).toBeLessThanOrEqual(23)
  })

  it('does not count waiting or running attempts, so a hundred right logins from one address succeed', async () => {
    const { attempts, checks } = attemptsAt()
    const outcomes = times(100, () => run(attempts, 'nat', RIGHT))
    await finishAll(checks)
    expect(await kindsOf(outcomes)).toEqual({ matched: 100 })
  })

  it('counts each source separately', async () => {
    const { attempts, checks } = attemptsAt()
    const outcomes = times(30, () => run(attempts, 'a'))
    const fresh = run(attempts, 'b', RIGHT)
    await finishAll(checks)
    await Promise.all(outcomes)
    expect(await fresh).toEqual({ kind: 'matched', index: 0 })
  })
})

describe('a waiting attempt', () => {
  it('ends as busy after ten seconds, without a check', async () => {
    const { attempts, checks } = attemptsAt()
    const running = run(attempts, 'a')
    const waiting = run(attempts, 'a')
    await vi.advanceTimersByTimeAsync(9_999)
    const late = run(attempts, 'a')
    await vi.advanceTimersByTimeAsync(1)
    expect(await waiting).toEqual({ kind: 'busy' })
    await finishAll(checks)
    expect(await kindsOf([running, late])).toEqual({ unmatched: 2 })
    expect(checks).toHaveLength(2)
  })

  it('is one of a limited number per source', async () => {
    const { attempts, checks } = attemptsAt({ throttle: 'off' })
    const outcomes = times(1 + 128 + 5, () => run(attempts, 'a'))
    await finishAll(checks)
    expect(await kindsOf(outcomes)).toEqual({ unmatched: 129, busy: 5 })
  })

  it('is one of a limited number in total, of which a new source still gets a place', async () => {
    const { attempts, checks } = attemptsAt({ throttle: 'off' })
    const outcomes = [run(attempts, 'first')]
    for (let source = 0; source < 20; source++) {
      outcomes.push(...times(128, () => run(attempts, `flood${source}`)))
    }
    const fresh = run(attempts, 'fresh', RIGHT)
    await finishAll(checks)
    expect(await fresh).toEqual({ kind: 'matched', index: 0 })
    expect(await kindsOf(outcomes)).toEqual({ unmatched: 1 + 1023, busy: 20 * 128 - 1023 })
  })

  it('ends as busy at close, and so do later attempts', async () => {
    const { attempts, checks } = attemptsAt()
    const running = run(attempts, 'a', RIGHT)
    const waiting = times(5, () => run(attempts, 'a'))
    attempts.close()
    expect(await kindsOf([...waiting, run(attempts, 'b')])).toEqual({ busy: 6 })
    checks[0]?.finish(0)
    expect(await running).toEqual({ kind: 'matched', index: 0 })
    expect(checks).toHaveLength(1)
  })
})
