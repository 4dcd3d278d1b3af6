// Decides whether a failed request is sent to the registry again.

import { errorCode } from '../errors/errors.ts'
import { isRepeatable } from './connect/registry-connections.ts'
import { failExchange, type Exchange } from './exchange.ts'
import { failureOf } from './failure.ts'

// A registry that restarts is unreachable for less than a second.
const RETRY_EVERY_MS = 250

export function sendAgainOrFail(exchange: Exchange, error: Error, send: (exchange: Exchange) => void): void {
  // A reset after the last byte of the answer does no harm.
  if (exchange.isOver || exchange.answer?.complete === true) return
  const isStale = isStaleConnection(exchange, error)
  if (!isStale && !mayWaitForRegistry(exchange)) {
    failExchange(exchange, failureOf(error))
    return
  }
  exchange.attempt += 1
  // This request emits 'close' in the same tick. That must not fail the next attempt.
  exchange.request = undefined
  if (isStale) {
    send(exchange)
    return
  }
  // http-proxy adds listeners at each attempt, which end with the request.
  exchange.incoming.setMaxListeners(0)
  setTimeout(() => {
    if (!exchange.isOver) send(exchange)
  }, RETRY_EVERY_MS).unref()
}

function isStaleConnection({ incoming, request, attempt, answer }: Exchange, error: Error): boolean {
  if (attempt > 0 || answer !== undefined || request?.reusedSocket !== true) return false
  if (errorCode(error) !== 'ECONNRESET' && errorCode(error) !== 'EPIPE') return false
  return isRepeatable(incoming.method)
}

function mayWaitForRegistry({ incoming, answer, retryUntil }: Exchange): boolean {
  return answer === undefined && performance.now() < retryUntil && isRepeatable(incoming.method)
}
