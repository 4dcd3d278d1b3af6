// Holds one forwarded request, and fails it at most once.

import type { ClientRequest, IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http'
import type { UpstreamFailure } from './failure.ts'
import type { Upload } from './request-body.ts'

export interface Exchange {
  /** Its headers stay as the client sent them. */
  readonly incoming: IncomingMessage
  /** The headers that the registry gets instead. */
  readonly registryHeaders: IncomingHttpHeaders
  readonly outgoing: ServerResponse
  /** The request to the registry. Set when it has a socket. */
  request: ClientRequest | undefined
  upload: Upload | undefined
  /** The registry's answer. Set when its head has arrived. */
  answer: IncomingMessage | undefined
  isRetried: boolean
  isOver: boolean
  readonly onFailure: (failure: UpstreamFailure) => void
}

/**
 * Ends a broken exchange: the registry gets no more bytes, and the client gets no clean end of a cut body. If no head
 * was sent yet, `onFailure` must answer.
 */
export function failExchange(exchange: Exchange, failure: UpstreamFailure): void {
  if (exchange.isOver) return
  exchange.isOver = true
  exchange.upload?.stop()
  // Destroyed, not ended. end() would make a chunked upload that the client broke off look complete.
  exchange.request?.destroy()
  // Before onFailure(): the caller's answer must not be destroyed.
  const { outgoing } = exchange
  if (outgoing.headersSent && !outgoing.writableEnded) outgoing.destroy()
  exchange.onFailure(failure)
}
