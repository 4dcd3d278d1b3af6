// Tests how many credentials one source may check per second.

import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { createPace, type PacedConnection, type Turn } from '../../src/auth/pace.ts'
import type { ThrottleLimit } from '../../src/auth/throttle.ts'

const LIMIT = { failures: 20, windowMs: 60_000 }
const HERE = '192.0.2.1'
const RIGHT = { username: 'alice', password: 'right' }
const WRONG = { username: 'alice', password: 'wrong' }

const ignoreLeave = () => undefined

interface Setting {
  readonly limit?: ThrottleLimit | 'off'
  readonly isThrottled?: boolean
}

function paceForTest({ limit = LIMIT, isThrottled = true }: Setting = {}) {
  const throttle = { retryAfterMs: () => (isThrottled ? 1_000 : 0) }
  const pace = createPace({ limit, throttle, now: () => Date.now() })
  return { connection: (source = HERE) => pace.connection(source) }
}

/** Takes a turn and ends it by the password. Resolves to the kind of the turn. */
async function attempt(connection: PacedConnection, credentials = WRONG): Promise<Turn['kind']> {
  const turn = await connection.turn(credentials, ignoreLeave)
  if (turn.kind !== 'check') return turn.kind
  if (credentials === RIGHT) turn.succeeded()
  else turn.failed()
  return 'check'
}

/** Counts the outcomes so far, by kind. */
function tally(outcomes: readonly Promise<Turn['kind']>[]) {
  const counts: Record<Turn['kind'], number> = { check: 0, gone: 0, busy: 0, dropped: 0 }
  for (const outcome of outcomes) void outcome.then((kind) => (counts[kind] += 1))
  return counts
}

function times<T>(n: number, make: () => T): T[] {
  return Array.from({ length: n }, make)
}

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

describe('guesses of one source', () => {
  it.each([64, 1_500])('on %i connections are checked ten times a second after a burst', async (count) => {
    const { connection } = paceForTest()
    let checks = 0
    for (const own of times(count, connection)) {
      const guess = async (): Promise<void> => {
        if ((await attempt(own)) !== 'check') return
        checks += 1
        await guess()
      }
      void guess()
    }
    await vi.advanceTimersByTimeAsync(0)
    expect(checks).toBe(20)
    await vi.advanceTimersByTimeAsync(9_000)
    // Fewer if some tokens were reserved for other connections.
    expect(checks).toBeGreaterThan(20 + 90 - 8)
    expect(checks).toBeLessThanOrEqual(20 + 90)
  })

  it('without a token in time are dropped, or busy if the source is not throttled', async () => {
    for (const [isThrottled, kind] of [
      [true, 'dropped'],
      [false, 'busy'],
    ] as const) {
      const { connection } = paceForTest({ isThrottled })
      const counts = tally(times(500, () => attempt(connection())))
      await vi.advanceTimersByTimeAsync(10_100)
      expect(counts.check + counts[kind]).toBe(500)
      // Tokens are fractions, which may not quite add up.
      expect(counts.check).toBeGreaterThanOrEqual(20 + 99)
      expect(counts.check).toBeLessThanOrEqual(20 + 100)
      expect(vi.getTimerCount(), 'timers left behind').toBe(0)
    }
  })

  it('on a connection that failed leave tokens for other connections', async () => {
    const { connection } = paceForTest()
    const guessing = connection()
    for (let i = 0; i < 15; i++) expect(await attempt(guessing)).toBe('check')
    const counts = tally([attempt(guessing)])
    await vi.advanceTimersByTimeAsync(0)
    expect(counts.check).toBe(0)
    expect(await attempt(connection(), RIGHT)).toBe('check')
  })

  it('have more tokens if the throttle allows more failures', async () => {
    const { connection } = paceForTest({ limit: { failures: 6_000, windowMs: 60_000 } })
    const counts = tally(times(7_000, () => attempt(connection())))
    await vi.advanceTimersByTimeAsync(1_000)
    expect(counts.check).toBe(6_000 + 100)
  })

  it('use no tokens of another source', async () => {
    const { connection } = paceForTest()
    tally(times(30, () => attempt(connection(HERE))))
    const [same, other] = [HERE, '192.0.2.2'].map((source) => tally([attempt(connection(source))]))
    await vi.advanceTimersByTimeAsync(0)
    expect(same).toMatchObject({ check: 0 })
    expect(other).toMatchObject({ check: 1 })
  })

  it('are not paced when the throttle is off', async () => {
    const { connection } = paceForTest({ limit: 'off' })
    const counts = tally(times(5_000, () => attempt(connection())))
    await vi.advanceTimersByTimeAsync(0)
    expect(counts.check).toBe(5_000)
  })
})

describe('right credentials', () => {
  it('never wait for each other', async () => {
    const { connection } = paceForTest()
    const counts = tally(times(5_000, () => attempt(connection(), RIGHT)))
    await vi.advanceTimersByTimeAsync(0)
    expect(counts.check).toBe(5_000)
  })

  it('do not wait on a connection where they were right before, even without tokens', async () => {
    const { connection } = paceForTest()
    const own = connection()
    await attempt(own, RIGHT)
    tally(times(100, () => attempt(connection())))
    for (let i = 0; i < 100; i++) expect(await attempt(own, RIGHT)).toBe('check')
    const others = tally([attempt(own, { username: 'alice', password: 'guess' })])
    await vi.advanceTimersByTimeAsync(0)
    expect(others, 'another password on that connection').toMatchObject({ check: 0 })
  })

  it('wait again on a connection where they were wrong since', async () => {
    const { connection } = paceForTest()
    const own = connection()
    await attempt(own, RIGHT)
    tally(times(100, () => attempt(connection())))
    const turn = await own.turn(RIGHT, ignoreLeave)
    if (turn.kind === 'check') turn.failed()
    const counts = tally([attempt(own, RIGHT)])
    await vi.advanceTimersByTimeAsync(0)
    expect(counts.check).toBe(0)
  })

  it('on a new connection get the next token before all waiting ones', async () => {
    const { connection } = paceForTest()
    const guesses = tally(times(1_000, () => attempt(connection())))
    await vi.advanceTimersByTimeAsync(50)
    const counts = tally([attempt(connection(), RIGHT)])
    await vi.advanceTimersByTimeAsync(100)
    expect(counts.check).toBe(1)
    expect(guesses.check).toBeLessThanOrEqual(22)
  })
})

it('gives the token of a client that left to the next one', async () => {
  const { connection } = paceForTest()
  tally(times(20, () => attempt(connection())))
  const leaving: (() => void)[] = []
  const left = connection().turn(WRONG, (leave) => leaving.push(leave))
  const counts = tally([attempt(connection())])
  const later = connection().turn(WRONG, (leave) => leaving.push(leave))
  for (const leave of leaving) leave()
  expect([(await left).kind, (await later).kind]).toEqual(['gone', 'gone'])
  await vi.advanceTimersByTimeAsync(200)
  expect(counts.check).toBe(1)
  expect(vi.getTimerCount()).toBe(0)
})
