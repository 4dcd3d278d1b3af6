// One request on its way through: what its parts are, and how it fails, exactly once.

import type { ClientRequest, IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http'
import type { UpstreamFailure } from './failure.ts'
import type { Upload } from './request-body.ts'

export interface Exchange {
  /** Its headers stay as the client sent them. */
  readonly incoming: IncomingMessage
  /** The headers that the registry gets instead. */
  readonly registryHeaders: IncomingHttpHeaders
  readonly outgoing: ServerResponse
  /** The request to the registry, once it has a socket. */
  request: ClientRequest | undefined
  /** Its body on the way to the registry. */
  upload: Upload | undefined
  /** The registry's answer, once its head has arrived. */
  answer: IncomingMessage | undefined
  isRetried: boolean
  isOver: boolean
  readonly onFailure: (failure: UpstreamFailure) => void
}

/**
 * Ends a broken exchange: nothing more goes to the registry, and the client gets no clean end of a cut body. With no
 * head sent yet the answer is the caller's to give, in `onFailure`.
 */
export function failExchange(exchange: Exchange, failure: UpstreamFailure): void {
  if (exchange.isOver) return
  exchange.isOver = true
  exchange.upload?.stop()
  // Destroyed, never ended: the end of a chunked upload that the client broke off would make it look complete.
  exchange.request?.destroy()
  // Before the caller answers: that answer must not be taken for the broken one.
  const { outgoing } = exchange
  if (outgoing.headersSent && !outgoing.writableEnded) outgoing.destroy()
  exchange.onFailure(failure)
}
