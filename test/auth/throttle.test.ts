// Tests the limit on failed logins.

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

/** Fails three times as often as the limit, in four windows. The last one has just ended. */
function failOverWindows(throttle: Throttle, clock: { ms: number }, tried: typeof alice): void {
  for (let i = 0; i < 4; i++) {
    fail(throttle, tried, (LIMIT.failures * 3) / 4)
    clock.ms += LIMIT.windowMs
  }
}

describe('a source', () => {
  it('may try until it failed too often, with any names', () => {
    const { throttle } = throttleAt()
    for (let i = 0; i < 19; i++) throttle.failed({ ...alice, username: `user${i}` })
    expect(throttle.retryAfterMs(carol)).toBe(0)
    throttle.failed(bob)
    expect(throttle.retryAfterMs(carol)).toBe(60_000)
  })

  it('waits until the end of the window that its first failure started', () => {
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

  it('counts as failed for ten windows, regardless of later successes', () => {
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

  it('starts a new window with its next failure', () => {
    const { throttle, clock } = throttleAt()
    fail(throttle, alice, 20)
    clock.ms += 60_000
    throttle.failed(bob)
    expect(throttle.retryAfterMs(bob)).toBe(0)
    for (let i = 0; i < 19; i++) throttle.failed({ ...alice, username: `user${i}` })
    expect(throttle.retryAfterMs(bob)).toBe(60_000)
  })

  it('never throttles another source, so a user cannot be locked out by name', () => {
    const { throttle } = throttleAt()
    fail(throttle, alice, 1_000)
    expect(throttle.retryAfterMs({ ...alice, source: '192.0.2.2' })).toBe(0)
  })
})

describe('a name tried from one source', () => {
  it('is limited over ten windows, without effect on other names of the source', () => {
    const { throttle, clock } = throttleAt()
    failOverWindows(throttle, clock, alice)
    expect(throttle.retryAfterMs(bob)).toBe(0)
    expect(throttle.retryAfterMs(alice)).toBe(600_000 - 4 * 60_000)
    clock.ms += throttle.retryAfterMs(alice)
    expect(throttle.retryAfterMs(alice)).toBe(0)
  })

  it('is limited in the same way if it does not exist', () => {
    const { throttle, clock } = throttleAt()
    const nobody = { ...alice, username: 'x'.repeat(10_000) }
    failOverWindows(throttle, clock, nobody)
    expect(throttle.retryAfterMs(nobody)).toBeGreaterThan(0)
  })

  it('differs from a name that reads the same together with its source', () => {
    const { throttle, clock } = throttleAt()
    failOverWindows(throttle, clock, { source: '192.0.2.1', username: '1 alice' })
    expect(throttle.retryAfterMs({ source: '192.0.2.1 1', username: 'alice' })).toBe(0)
  })
})

describe('a success', () => {
  it('forgets the failures of its name', () => {
    const { throttle, clock } = throttleAt()
    failOverWindows(throttle, clock, alice)
    throttle.succeeded(alice)
    expect(throttle.retryAfterMs(alice)).toBe(0)
  })

  it('keeps other failures, so an attacker with an account cannot reset them', () => {
    const { throttle, clock } = throttleAt()
    failOverWindows(throttle, clock, alice)
    throttle.succeeded(bob)
    expect(throttle.retryAfterMs(alice)).toBeGreaterThan(0)
    fail(throttle, carol, LIMIT.failures)
    throttle.succeeded(bob)
    expect(throttle.retryAfterMs(bob)).toBe(60_000)
  })
})

it('has a bounded size for any number of sources', () => {
  const { throttle } = throttleAt()
  for (let i = 0; i < 200_000; i++) throttle.failed({ source: `source${i}`, username: 'alice' })
  expect(throttle.sizes).toEqual({ sources: 20_000, pairs: 20_000 })
})

it('evicts the least recently seen source first', () => {
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
