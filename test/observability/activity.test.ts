import { describe, expect, it } from 'vitest'
import { createActivity } from '../../src/observability/activity/activity.ts'
import { createMinuteCounts } from '../../src/observability/activity/minute-series.ts'
import { createRateMeter } from '../../src/observability/activity/rate-meter.ts'
import { createThroughput } from '../../src/observability/activity/throughput.ts'

const MINUTE_MS = 60_000
const PART = {
  operation: 'push',
  user: 'alice',
  address: '192.0.2.1',
  repository: 'team/app',
  bytes: 100,
  startedAt: 0,
  endedAt: 1_000,
} as const
const MANIFEST = { ...PART, outcome: 'ok', reference: 'v1', client: 'docker/29' } as const

describe('an operation', () => {
  it('has the bytes and the time of the blobs that were pushed before its manifest', () => {
    const activity = createActivity()
    activity.blobFinished({ ...PART, bytes: 1_000, startedAt: 1_000, endedAt: 2_000 })
    activity.blobFinished({ ...PART, bytes: 2_000, startedAt: 1_500, endedAt: 3_000 })
    activity.manifestFinished({ ...MANIFEST, startedAt: 4_000, endedAt: 5_000 })
    activity.manifestFinished({ ...MANIFEST, startedAt: 6_000, endedAt: 6_500, reference: 'v2' })
    expect(activity.operations).toMatchObject([
      { operation: 'push', bytes: 100, seconds: 0.5, names: { reference: 'v2' } },
      {
        operation: 'push',
        bytes: 3_100,
        seconds: 4,
        names: { user: 'alice', repository: 'team/app', reference: 'v1', client: 'docker/29' },
      },
    ])
  })

  it('has the bytes and the time of the blobs that were pulled after its manifest', () => {
    const activity = createActivity()
    const pull = { ...PART, operation: 'pull' } as const
    // Without a manifest before it, a blob belongs to no pull.
    activity.blobFinished({ ...pull, bytes: 7 })
    activity.manifestFinished({ ...MANIFEST, operation: 'pull', startedAt: 1_000, endedAt: 1_500 })
    activity.blobFinished({ ...pull, bytes: 5_000, startedAt: 2_000, endedAt: 4_000 })
    activity.manifestFinished({ ...MANIFEST, operation: 'pull', outcome: 'not-found' })
    activity.blobFinished({ ...pull, bytes: 1, startedAt: 4_000, endedAt: 4_500 })
    expect(activity.operations).toMatchObject([
      { outcome: 'not-found', bytes: 100 },
      { operation: 'pull', outcome: 'ok', bytes: 5_101, seconds: 3.5 },
    ])
  })

  it.each([
    ['user', { user: 'bob' }],
    ['anonymous user', { user: undefined }],
    ['address', { address: '192.0.2.2' }],
    ['repository', { repository: 'team/other' }],
  ])('has no bytes of another %s', (_, other) => {
    const activity = createActivity()
    activity.blobFinished({ ...PART, ...other, bytes: 1_000 })
    activity.manifestFinished(MANIFEST)
    expect(activity.operations).toMatchObject([{ bytes: 100 }])
  })

  it('is not listed if the client has to log in first', () => {
    const activity = createActivity()
    activity.manifestFinished({ ...MANIFEST, outcome: 'unauthenticated' })
    expect(activity.operations).toEqual([])
    expect(activity.totals).toMatchObject({ pushes: 0 })
  })
})

describe('refusals', () => {
  const login = { event: 'login-refused', reason: 'wrong password', user: 'alice' } as const

  it('come from the log, and equal ones are one entry with a count', () => {
    const activity = createActivity()
    activity.logged({ ...login, address: '192.0.2.1' }, 'login refused')
    activity.logged({ ...login, address: '192.0.2.2' }, 'login refused')
    activity.logged({ ...login, address: '192.0.2.1', count: 40 }, 'login refused')
    activity.logged({ event: 'limit-reached', who: '192.0.2.3', count: 2 }, 'too many connections')
    expect(activity.refusals).toMatchObject([
      { kind: 'limit', reason: 'too many connections', count: 2, names: { detail: '192.0.2.3' } },
      { kind: 'login', reason: 'wrong password', count: 41, names: { address: '192.0.2.1', user: 'alice' } },
      { kind: 'login', count: 1, names: { address: '192.0.2.2' } },
    ])
  })
})

describe('changes', () => {
  it('come from the log, with the cause of a failure, but not one for each user of a reload', () => {
    const activity = createActivity()
    activity.logged({ event: 'user-added', file: 'htpasswd', user: 'bob' }, '')
    activity.logged({ event: 'users-loaded', file: 'htpasswd' }, '')
    activity.logged({ event: 'leaf-not-renewed', file: 'leaf.crt', err: new Error('disk full') }, '')
    activity.logged({ event: 'request' }, '')
    expect(activity.changes).toMatchObject([
      { event: 'leaf-not-renewed', outcome: 'failed', names: { detail: 'leaf.crt: disk full' } },
      { event: 'users-loaded', outcome: 'done', names: { detail: 'htpasswd' } },
    ])
  })
})

describe('the series', () => {
  const zero = { receivedBytes: 0, sentBytes: 0, requests: 0, failedRequests: 0, pushes: 0, pulls: 0 }

  it('has one number for each complete minute, and zeros for minutes without a tick', () => {
    let [now, totals] = [0, zero]
    const counts = createMinuteCounts({ totals: () => totals, clock: () => now })
    totals = { ...zero, requests: 3 }
    expect(counts.read().requests).toEqual([])
    now = MINUTE_MS + 1
    counts.tick()
    totals = { ...zero, requests: 5 }
    now = 4 * MINUTE_MS
    expect(counts.read().requests).toEqual([3, 2, 0, 0])
    now = 10_000 * MINUTE_MS
    expect(counts.read().requests).toHaveLength(24 * 60)
    expect(counts.read().requests.at(-1)).toBe(0)
  })

  it('counts the bytes of running transfers in the minute in which they move', () => {
    let [now, sent] = [0, 0]
    const throughput = createThroughput({
      finished: () => zero,
      running: () => ({ received: 0, sent }),
      clock: () => now,
    })
    ;[now, sent] = [MINUTE_MS, 1_000]
    expect(throughput.series.sentBytes).toEqual([1_000])
    ;[now, sent] = [2 * MINUTE_MS, 1_500]
    expect(throughput.series.sentBytes).toEqual([1_000, 500])
    throughput.close()
  })
})

it('measures the rate since the last look, at least half a second ago', () => {
  const meter = createRateMeter(0)
  expect(meter.read(10_000, 1_000)).toBe(10_000)
  expect(meter.read(10_900, 1_100)).toBe(10_000)
  expect(meter.read(12_000, 2_000)).toBe(2_000)
  expect(meter.read(12_000, 3_000)).toBe(0)
})

/** The characters of all that is kept. */
function sizeOf({ operations, refusals, changes }: ReturnType<typeof createActivity>): number {
  return JSON.stringify([operations, refusals, changes]).length
}

const [LONG, LONGEST] = ['x'.repeat(30), 'x'.repeat(8_000)]

it('keeps no more after 100,000 requests with different long names than after 2,000', () => {
  const activity = createActivity()
  let sizeAtFirst = 0
  for (let i = 0; i < 100_000; i++) {
    const long = i % 20 === 0 ? LONGEST : LONG
    const names = { user: `${i} ${long}`, address: `192.0.2.${i}`, repository: `${i}/${long}` }
    const operation = i % 2 === 0 ? 'push' : 'pull'
    activity.requestFinished({ receivedBytes: 1, sentBytes: 1, isFailed: false })
    activity.blobFinished({ ...PART, ...names, operation })
    activity.manifestFinished({ ...MANIFEST, ...names, operation, reference: `${i} ${long}`, client: long })
    activity.refused({ kind: 'denied', status: 403, reason: 'no access rule allows it', names })
    activity.logged({ event: 'file-not-loaded', file: long, reason: `${i} ${long}` }, '')
    if (i === 2_000) sizeAtFirst = sizeOf(activity)
  }
  expect(sizeOf(activity)).toBeLessThan(sizeAtFirst * 1.05)
  expect(sizeOf(activity)).toBeLessThan(1_000_000)
  expect([activity.operations, activity.refusals, activity.changes].map(({ length }) => length)).toEqual([
    200, 200, 200,
  ])
  expect(activity.totals.requests).toBe(100_000)
})
