import { describe, expect, it } from 'vitest'
import { createThrottle, type Throttle, type ThrottleLimit } from '../../src/auth/throttle.ts'

const LIMIT: ThrottleLimit = { failures: 20, windowMs: 60_000 }

function throttleAt(limit: ThrottleLimit | 'off' = LIMIT) {
  const clock = { ms: 1_000 }
  return { clock, throttle: createThrottle(limit, () => clock.ms) }
}

const alice = { source: '192.0.2.1', username: 'alice' }
const bob = { source: '192.0.2.1', username: 'bob' }
const carol = { source: '192.0.2.1', username: 'carol' }

function fail(throttle: Throttle, tried: { source: string; username: string }, times: number): void {
  for (let i = 0; i < times; i++) throttle.failed(tried)
}

/** Three times the limit in four windows, the last of which has just ended. */
function failOverWindows(throttle: Throttle, clock: { ms: number }, tried: typeof alice): void {
  for (let i = 0; i < 4; i++) {
    fail(throttle, tried, (LIMIT.failures * 3) / 4)
    clock.ms += LIMIT.windowMs
  }
}

describe('a source', () => {
  it('is let in until it has failed too often, under whatever names', () => {
    const { throttle } = throttleAt()
    for (let i = 0; i < 19; i++) throttle.failed({ ...alice, username: `user${i}` })
    expect(throttle.retryAfterMs(carol)).toBe(0)
    throttle.failed(bob)
    expect(throttle.retryAfterMs(carol)).toBe(60_000)
  })

  it('waits until the window that began with its first failure is over', () => {
    const { throttle, clock } = throttleAt()
    throttle.failed(alice)
    clock.ms += 45_000
    for (let i = 0; i < 19; i++) throttle.failed({ ...alice, username: `user${i}` })
    expect(throttle.retryAfterMs(carol)).toBe(15_000)
    clock.ms += 14_999
    expect(throttle.retryAfterMs(carol)).toBe(1)
    clock.ms += 1
    expect(throttle.retryAfterMs(carol)).toBe(0)
  })

  it('is known to have failed for ten windows, whatever has succeeded since', () => {
    const { throttle, clock } = throttleAt()
    expect(throttle.hasFailed(alice.source)).toBe(false)
    throttle.failed(alice)
    throttle.succeeded(alice)
    clock.ms += 10 * LIMIT.windowMs - 1
    expect(throttle.hasFailed(alice.source)).toBe(true)
    expect(throttle.hasFailed('192.0.2.2')).toBe(false)
    clock.ms += 1
    expect(throttle.hasFailed(alice.source)).toBe(false)
  })

  it('begins a new window with its next failure', () => {
    const { throttle, clock } = throttleAt()
    fail(throttle, alice, 20)
    clock.ms += 60_000
    throttle.failed(bob)
    expect(throttle.retryAfterMs(bob)).toBe(0)
    for (let i = 0; i < 19; i++) throttle.failed({ ...alice, username: `user${i}` })
    expect(throttle.retryAfterMs(bob)).toBe(60_000)
  })

  it('never keeps another one out, so that nobody is locked out by name', () => {
    const { throttle } = throttleAt()
    fail(throttle, alice, 1_000)
    expect(throttle.retryAfterMs({ ...alice, source: '192.0.2.2' })).toBe(0)
  })
})

describe('a name tried from one source', () => {
  it('is limited over ten windows too, without a part in what others of its source may fail', () => {
    const { throttle, clock } = throttleAt()
    failOverWindows(throttle, clock, alice)
    expect(throttle.retryAfterMs(bob)).toBe(0)
    expect(throttle.retryAfterMs(alice)).toBe(600_000 - 4 * 60_000)
    clock.ms += throttle.retryAfterMs(alice)
    expect(throttle.retryAfterMs(alice)).toBe(0)
  })

  it('is as limited when it does not exist: the throttle knows no users', () => {
    const { throttle, clock } = throttleAt()
    const nobody = { ...alice, username: 'x'.repeat(10_000) }
    failOverWindows(throttle, clock, nobody)
    expect(throttle.retryAfterMs(nobody)).toBeGreaterThan(0)
  })

  it('is not taken for another that reads the same beside its source', () => {
    const { throttle, clock } = throttleAt()
    failOverWindows(throttle, clock, { source: '192.0.2.1', username: '1 alice' })
    expect(throttle.retryAfterMs({ source: '192.0.2.1 1', username: 'alice' })).toBe(0)
  })
})

describe('a success', () => {
  it('forgets the failures of its own name', () => {
    const { throttle, clock } = throttleAt()
    failOverWindows(throttle, clock, alice)
    throttle.succeeded(alice)
    expect(throttle.retryAfterMs(alice)).toBe(0)
  })

  it('forgets no others, or an attacker with an account could guess for ever', () => {
    const { throttle, clock } = throttleAt()
    failOverWindows(throttle, clock, alice)
    throttle.succeeded(bob)
    expect(throttle.retryAfterMs(alice)).toBeGreaterThan(0)
    fail(throttle, carol, LIMIT.failures)
    throttle.succeeded(bob)
    expect(throttle.retryAfterMs(bob)).toBe(60_000)
  })
})

it('holds no more than its bound, however many sources there are', () => {
  const { throttle } = throttleAt()
  for (let i = 0; i < 200_000; i++) throttle.failed({ source: `source${i}`, username: 'alice' })
  expect(throttle.sizes).toEqual({ sources: 20_000, pairs: 20_000 })
})

it('forgets first whom it has not seen for longest', () => {
  const { throttle } = throttleAt()
  fail(throttle, alice, 20)
  for (let i = 0; i < 60_000; i++) {
    throttle.failed({ source: `source${i}`, username: 'alice' })
    if (i % 1_000 === 0) throttle.retryAfterMs(alice)
  }
  expect(throttle.retryAfterMs(alice)).toBe(60_000)
})

it('counts nothing when it is off', () => {
  const { throttle } = throttleAt('off')
  fail(throttle, alice, 1_000)
  expect(throttle.retryAfterMs(alice)).toBe(0)
  expect(throttle.sizes).toEqual({ sources: 0, pairs: 0 })
})
