// Tests the watchdog with a hand-driven clock.
//
// With real sockets it depends on the machine how much of an answer the kernel takes.

import { EventEmitter } from 'node:events'
import type { ClientRequest, IncomingMessage, ServerResponse } from 'node:http'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { Exchange } from '../../src/upstream/exchange.ts'
import type { UpstreamFailure } from '../../src/upstream/failure.ts'
import { createWatchdog } from '../../src/upstream/watchdog.ts'

const LIMITS = { idleTimeoutMs: 1_000, responseTimeoutMs: 1_000 }

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

/** Creates an answered exchange on which no byte moves, and records its failures. */
function answered({ writableEnded }: { readonly writableEnded: boolean }) {
  const client = { bytesRead: 10, bytesWritten: 10 }
  const registry = { bytesRead: 10, bytesWritten: 10, connecting: false }
  const failures: UpstreamFailure[] = []
  const outgoing = Object.assign(new EventEmitter(), { writableEnded, headersSent: true, destroy: vi.fn() })
  const exchange: Exchange = {
    incoming: { socket: client, complete: true } as unknown as IncomingMessage,
    target: '/v2/',
    registryHeaders: {},
    outgoing: outgoing as unknown as ServerResponse,
    beganAt: 0,
    request: { socket: registry, destroy: vi.fn() } as unknown as ClientRequest,
    upload: undefined,
    answer: {} as unknown as IncomingMessage,
    attempt: 0,
    retryUntil: 0,
    isOver: false,
    isWhole: false,
    onFailure: (failure) => failures.push(failure),
  }
  return { client, registry, outgoing, failures, exchange }
}

describe('an answer without moving bytes', () => {
  it.each([
    ['is incomplete', false],
    ['is written whole, but the client does not read it', true],
  ])('ends if it %s', (_how, writableEnded) => {
    const watchdog = createWatchdog(LIMITS)
    const { exchange, outgoing, failures } = answered({ writableEnded })
    watchdog.watch(exchange)
    vi.advanceTimersByTime(900)
    expect(outgoing.destroy).not.toHaveBeenCalled()
    vi.advanceTimersByTime(400)
    expect(failures).toEqual([{ kind: 'timed-out', cause: 'no byte of the answer moved' }])
    expect(outgoing.destroy).toHaveBeenCalled()
    watchdog.close()
  })
})

it.each([
  ['does not end while the registry sends it', false, 0],
  ['ends if it is whole, because later bytes of the connection belong to other requests', true, 1],
])('an answer %s', (_how, writableEnded, ended) => {
  const watchdog = createWatchdog(LIMITS)
  const { exchange, registry, failures } = answered({ writableEnded })
  watchdog.watch(exchange)
  for (let i = 0; i < 20; i++) {
    registry.bytesRead += 1
    vi.advanceTimersByTime(200)
  }
  expect(failures).toHaveLength(ended)
  watchdog.close()
})

it('bytes before an answer do not extend the wait for it', () => {
  const watchdog = createWatchdog(LIMITS)
  const { exchange, registry, failures } = answered({ writableEnded: false })
  exchange.answer = undefined
  watchdog.watch(exchange)
  for (let i = 0; i < 20; i++) {
    registry.bytesRead += 1
    vi.advanceTimersByTime(200)
  }
  expect(failures).toEqual([{ kind: 'timed-out', cause: 'the registry did not begin its answer' }])
  watchdog.close()
})

it('an answer that arrived during a pause of this process does not end', () => {
  const now = vi.spyOn(performance, 'now')
  const watchdog = createWatchdog(LIMITS)
  const { exchange, registry, failures } = answered({ writableEnded: false })
  watchdog.watch(exchange)
  vi.advanceTimersByTime(300)
  now.mockReturnValue(performance.now() + 60_000)
  // The first check after the pause comes before any byte is read.
  vi.advanceTimersByTime(250)
  registry.bytesRead += 1
  vi.advanceTimersByTime(250)
  now.mockRestore()
  expect(failures).toEqual([])
  watchdog.close()
})
