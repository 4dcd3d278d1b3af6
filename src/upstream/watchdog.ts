// Ends exchanges that move no bytes for too long.

import { failExchange, type Exchange } from './exchange.ts'
import type { UpstreamFailure } from './failure.ts'

export interface WatchdogLimits {
  readonly idleTimeoutMs: number
  readonly responseTimeoutMs: number
}

export interface Watchdog {
  watch(exchange: Exchange): void
  unwatch(exchange: Exchange): void
  close(): void
}

const CONNECT_TIMEOUT_MS = 10_000

// If the sidecar was paused, the first check runs before waiting bytes are read. So several checks must see no progress.
const CHECKS_PER_LIMIT = 4

interface Progress {
  bytes: number
  movedAt: number
  checks: number
}

export function createWatchdog(limits: WatchdogLimits): Watchdog {
  const progressOf = new Map<Exchange, Progress>()
  const shortest = Math.min(limits.idleTimeoutMs, limits.responseTimeoutMs, CONNECT_TIMEOUT_MS)
  const timer = setInterval(checkAll, Math.max(10, Math.min(1_000, shortest / CHECKS_PER_LIMIT)))
  timer.unref()

  function checkAll(): void {
    const now = performance.now()
    for (const [exchange, progress] of progressOf) {
      const bytes = bytesMoved(exchange)
      if (bytes !== progress.bytes) {
        progress.bytes = bytes
        progress.movedAt = now
        progress.checks = 0
        continue
      }
      progress.checks += 1
      const { limitMs, failure } = limitFor(exchange, limits)
      if (now - progress.movedAt < limitMs || progress.checks < CHECKS_PER_LIMIT) continue
      // failExchange() does not cut a complete answer, but a client that does not read it must not stay connected.
      const isWritten = exchange.outgoing.writableEnded
      failExchange(exchange, failure)
      if (isWritten) exchange.outgoing.destroy()
    }
  }

  return {
    watch: (exchange) =>
      progressOf.set(exchange, { bytes: bytesMoved(exchange), movedAt: performance.now(), checks: 0 }),
    unwatch: (exchange) => progressOf.delete(exchange),
    close: () => {
      clearInterval(timer)
    },
  }
}

interface WaitLimit {
  readonly limitMs: number
  readonly failure: UpstreamFailure
}

function limitFor({ incoming, request, answer }: Exchange, limits: WatchdogLimits): WaitLimit {
  if (request?.socket === undefined || request.socket === null || request.socket.connecting) {
    return {
      limitMs: CONNECT_TIMEOUT_MS,
      failure: { kind: 'unreachable', cause: `no connection within ${CONNECT_TIMEOUT_MS / 1000} s` },
    }
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
  return request.writableNeedDrain
    ? { limitMs, failure: { kind: 'timed-out', cause: 'the registry read no byte of the request' } }
    : { limitMs, failure: { kind: 'client-closed', cause: 'the client sent no byte of its request' } }
}

function bytesMoved({ incoming, outgoing, request, answer }: Exchange): number {
  const client = incoming.socket
  // After the whole answer, the registry's connection may already serve another request.
  const registry = outgoing.writableEnded ? undefined : request?.socket
  // Threat: endless interim answers (1xx), or a head sent byte by byte. So bytes count only after the head is complete.
  const received = answer === undefined ? 0 : (registry?.bytesRead ?? 0)
  return client.bytesRead + client.bytesWritten + received + (registry?.bytesWritten ?? 0)
}
