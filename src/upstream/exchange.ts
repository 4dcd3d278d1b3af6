// Holds one forwarded request, and fails it at most once.

import type { ClientRequest, IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http'
import type { UpstreamFailure } from './failure.ts'
import { requestHeaders, type ForwardedFor } from './headers.ts'
import type { Upload } from './request-body.ts'

export interface Exchange {
  readonly incoming: IncomingMessage
  readonly target: string
  readonly registryHeaders: IncomingHttpHeaders
  readonly outgoing: ServerResponse
  /** `performance.now()`. */
  readonly beganAt: number
  request: ClientRequest | undefined
  upload: Upload | undefined
  answer: IncomingMessage | undefined
  /** Counts from 0. */
  attempt: number
  /** A GET or HEAD without an answer is sent again until this time, in `performance.now()`. */
  readonly retryUntil: number
  isOver: boolean
  /** The whole body was collected before, so the request continues even if the client leaves. */
  readonly isWhole: boolean
  readonly onAnswer?: ((answer: IncomingMessage) => void) | undefined
  readonly onFailure: (failure: UpstreamFailure) => void
}

export interface ForwardContext extends ForwardedFor {
  /** Sent to the registry byte for byte. */
  readonly target: string
  readonly onAnswer?: ((answer: IncomingMessage) => void) | undefined
  readonly onFailure: (failure: UpstreamFailure) => void
  readonly isWhole?: boolean
  readonly retryUntil?: number
}

export function createExchange(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  { target, onAnswer, onFailure, isWhole = false, retryUntil = 0, ...sender }: ForwardContext,
): Exchange {
  return {
    incoming,
    target,
    registryHeaders: requestHeaders(incoming.headers, sender),
    outgoing,
    beganAt: performance.now(),
    onAnswer,
    onFailure,
    isWhole,
    request: undefined,
    upload: undefined,
    answer: undefined,
    attempt: 0,
    retryUntil,
    isOver: false,
  }
}

/** `onFailure` must answer if no head was sent yet. */
export function failExchange(exchange: Exchange, failure: UpstreamFailure): void {
  if (exchange.isOver) return
  exchange.isOver = true
  exchange.upload?.stop()
  // end() would make an interrupted chunked upload look complete.
  if (!exchange.isWhole || failure.kind !== 'client-closed') exchange.request?.destroy()
  // This comes before onFailure(), because onFailure() may write an answer.
  const { outgoing } = exchange
  if (outgoing.headersSent && !outgoing.writableEnded) outgoing.destroy()
  exchange.onFailure(failure)
}
