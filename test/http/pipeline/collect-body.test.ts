import { PassThrough } from 'node:stream'
import type { IncomingMessage } from 'node:http'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { createBodyCollector } from '../../../src/http/pipeline/collect-body.ts'

const KIB = 1024

function collectorForTest() {
  return createBodyCollector({ maxBytes: 256 * KIB, maxTotalBytes: 384 * KIB, timeoutMs: 60_000 })
}

/** A request body that the test sends. */
function bodyForTest(headers: Readonly<Record<string, string>> = {}) {
  const stream = Object.assign(new PassThrough(), { headers, complete: false })
  return {
    incoming: stream as unknown as IncomingMessage,
    send: (bytes: Buffer | string) => stream.write(bytes),
    end: () => {
      stream.complete = true
      stream.end()
    },
    /** Ends without the end of its framing. */
    endEarly: () => stream.end(),
    breakOff: () => stream.destroy(new Error('aborted')),
  }
}

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
})
afterEach(() => {
  expect(vi.getTimerCount()).toBe(0)
  vi.useRealTimers()
})

describe('collecting a body', () => {
  it('gives all bytes, and counts them until they are released', async () => {
    const collector = collectorForTest()
    const body = bodyForTest({ 'content-length': '100001' })
    const collected = collector.collect(body.incoming)
    body.send(Buffer.alloc(100_000, 'a'))
    body.send('b')
    body.end()
    const whole = await collected
    if (whole.kind !== 'whole') throw new Error(whole.kind)
    expect(whole.bytes.toString()).toBe(`${'a'.repeat(100_000)}b`)
    expect(collector.bytesInUse).toBeGreaterThanOrEqual(100_001)
    whole.release()
    expect(collector.bytesInUse).toBe(0)
  })

  it('takes an empty body', async () => {
    const body = bodyForTest()
    const collected = collectorForTest().collect(body.incoming)
    body.end()
    expect(await collected).toMatchObject({ kind: 'whole', bytes: Buffer.alloc(0) })
  })

  it('takes memory only for bytes that have arrived, also when they come one by one', async () => {
    const collector = collectorForTest()
    const body = bodyForTest({ 'content-length': String(200 * KIB) })
    const collected = collector.collect(body.incoming)
    expect(collector.bytesInUse).toBe(0)
    for (let i = 0; i < 1_000; i++) body.send('a')
    await vi.waitFor(() => {
      expect(collector.bytesInUse).toBe(64 * KIB)
    })
    body.breakOff()
    expect(await collected).toEqual({ kind: 'broken-off' })
  })

  it.each([
    ['is announced', { 'content-length': String(256 * KIB + 1) }, 0],
    ['arrives', {}, 256 * KIB + 1],
  ])('ends when more than the limit %s', async (_how, headers, bytes) => {
    const collector = collectorForTest()
    const body = bodyForTest(headers)
    const collected = collector.collect(body.incoming)
    body.send(Buffer.alloc(bytes))
    expect(await collected).toEqual({ kind: 'too-large' })
    expect(collector.bytesInUse).toBe(0)
  })

  it('ends when all bodies together reach their limit, and goes on when one is released', async () => {
    const collector = collectorForTest()
    const [first, second, third] = [bodyForTest(), bodyForTest(), bodyForTest()]
    const one = collector.collect(first.incoming)
    first.send(Buffer.alloc(256 * KIB))
    first.end()
    const whole = await one
    const two = collector.collect(second.incoming)
    second.send(Buffer.alloc(129 * KIB))
    expect(await two).toEqual({ kind: 'out-of-memory' })
    if (whole.kind === 'whole') whole.release()
    const three = collector.collect(third.incoming)
    third.send(Buffer.alloc(129 * KIB))
    third.end()
    expect((await three).kind).toBe('whole')
  })

  it.each(['breakOff', 'endEarly'] as const)('gives no bytes of a body that breaks off: %s', async (how) => {
    const collector = collectorForTest()
    const body = bodyForTest()
    const collected = collector.collect(body.incoming)
    body.send('half')
    body[how]()
    expect(await collected).toEqual({ kind: 'broken-off' })
    expect(collector.bytesInUse).toBe(0)
  })

  it('gives no bytes of a body that is shorter or longer than its length', async () => {
    for (const text of ['short', 'longer than that']) {
      const body = bodyForTest({ 'content-length': '10' })
      const collected = collectorForTest().collect(body.incoming)
      body.send(text)
      body.end()
      expect(await collected).toEqual({ kind: 'broken-off' })
    }
  })

  it('ends after a minute, however slowly the bytes come', async () => {
    const collector = collectorForTest()
    const body = bodyForTest()
    const collected = collector.collect(body.incoming)
    body.send('a')
    vi.advanceTimersByTime(59_999)
    body.send('a')
    vi.advanceTimersByTime(1)
    expect(await collected).toEqual({ kind: 'too-slow' })
    expect(collector.bytesInUse).toBe(0)
  })
})
