// Holds one forwarded request, and fails it at most once.

import type { ClientRequest, IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http'
import type { UpstreamFailure } from './failure.ts'
import type { Upload } from './request-body.ts'

export interface Exchange {
  readonly incoming: IncomingMessage
  /** The registry gets this target instead of the target that the client sent. */
  readonly target: string
  readonly registryHeaders: IncomingHttpHeaders
  readonly outgoing: ServerResponse
  request: ClientRequest | undefined
  upload: Upload | undefined
  answer: IncomingMessage | undefined
  isRetried: boolean
  isOver: boolean
  readonly onFailure: (failure: UpstreamFailure) => void
}

/** `onFailure` must answer if no head was sent yet. */
export function failExchange(exchange: Exchange, failure: UpstreamFailure): void {
  if (exchange.isOver) return
  exchange.isOver = true
  exchange.upload?.stop()
  // end() would make an interrupted chunked upload look complete.
  exchange.request?.destroy()
  // This check comes before onFailure(), because onFailure() may write an answer.
  const { outgoing } = exchange
  if (outgoing.headersSent && !outgoing.writableEnded) outgoing.destroy()
  exchange.onFailure(failure)
}
