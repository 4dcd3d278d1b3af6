// Ends what no longer moves. One timer looks at all exchanges in flight, so that a request costs no timer of its
// own and a transfer of hours is no different from a short one: only bytes that moved count.

import { failExchange, type Exchange } from './exchange.ts'
import type { UpstreamFailure } from './failure.ts'

export interface WatchdogLimits {
  /** A transfer that moves no byte for this long, in either direction, is ended. */
  readonly idleTimeoutMs: number
  /** How long the registry may take to begin its answer after the request is complete. */
  readonly responseTimeoutMs: number
}

export interface Watchdog {
  watch(exchange: Exchange): void
  unwatch(exchange: Exchange): void
  close(): void
}

// A registry on the same network answers a SYN within milliseconds; what takes this long is not there.
const CONNECT_TIMEOUT_MS = 10_000

// Looks per limit: a transfer ends at most a quarter later than its limit. So many have to find that nothing moved: when
// this process itself stood still (`docker pause`, a machine without a free core), its first look afterwards comes
// before anything is read that has arrived meanwhile.
const LOOKS_PER_LIMIT = 4

interface Progress {
  bytes: number
  movedAt: number
  /** How many looks have found that nothing moved since. */
  looks: number
}

export function createWatchdog(limits: WatchdogLimits): Watchdog {
  const progressOf = new Map<Exchange, Progress>()
  const shortest = Math.min(limits.idleTimeoutMs, limits.responseTimeoutMs, CONNECT_TIMEOUT_MS)
  const timer = setInterval(look, Math.max(10, Math.min(1_000, shortest / LOOKS_PER_LIMIT)))
  timer.unref()

  function look(): void {
    const now = performance.now()
    for (const [exchange, progress] of progressOf) {
      const bytes = bytesMoved(exchange)
      if (bytes !== progress.bytes) {
        progress.bytes = bytes
        progress.movedAt = now
        progress.looks = 0
        continue
      }
      progress.looks += 1
      const { limitMs, failure } = patienceFor(exchange, limits)
      if (now - progress.movedAt < limitMs || progress.looks < LOOKS_PER_LIMIT) continue
      // Failing ends no answer that was handed over whole. One that its client does not take is ended all the same.
      const isHandedOver = exchange.outgoing.writableEnded
      failExchange(exchange, failure)
      if (isHandedOver) exchange.outgoing.destroy()
    }
  }

  return {
    watch: (exchange) =>
      progressOf.set(exchange, { bytes: bytesMoved(exchange), movedAt: performance.now(), looks: 0 }),
    unwatch: (exchange) => progressOf.delete(exchange),
    close: () => {
      clearInterval(timer)
    },
  }
}

interface Patience {
  readonly limitMs: number
  readonly failure: UpstreamFailure
}

function patienceFor({ incoming, request, answer }: Exchange, limits: WatchdogLimits): Patience {
  if (request?.socket === undefined || request.socket === null || request.socket.connecting) {
    return { limitMs: CONNECT_TIMEOUT_MS, failure: { kind: 'unreachable', cause: 'no connection in time' } }
  }
  const limitMs = limits.idleTimeoutMs
  if (answer !== undefined)
    return { limitMs, failure: { kind: 'timed-out', cause: 'no byte of the answer moved' } }
  if (incoming.complete && !request.writableNeedDrain) {
    return {
      limitMs: limits.responseTimeoutMs,
      failure: { kind: 'timed-out', cause: 'the registry did not begin its answer' },
    }
  }
  // What the client sends waits for the registry to take it, or we wait for the client to send.
  return request.writableNeedDrain
    ? { limitMs, failure: { kind: 'timed-out', cause: 'the registry took no byte of the request' } }
    : { limitMs, failure: { kind: 'client-closed', cause: 'the client sent no byte of its request' } }
}

function bytesMoved({ incoming, outgoing, request, answer }: Exchange): number {
  const client = incoming.socket
  // Once the answer is whole here, the registry's connection may be at work for others.
  const registry = outgoing.writableEnded ? undefined : request?.socket
  // Before the answer a registry sends interim answers (1xx) or a head that drips: it could go on for ever with either.
  const received = answer === undefined ? 0 : (registry?.bytesRead ?? 0)
  return client.bytesRead + client.bytesWritten + received + (registry?.bytesWritten ?? 0)
}
