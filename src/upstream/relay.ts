// The registry's answer on its way to the client.

import type { IncomingMessage } from 'node:http'
import { failExchange, type Exchange } from './exchange.ts'
import { ANSWER_CUT } from './failure.ts'
import { responseHeaders } from './headers.ts'
import { endWhenRead, isStillSending } from './linger.ts'
import type { SpliceMemory } from './splice-memory.ts'
import { spliceableLength, spliceBody } from './splice.ts'

/** Sends an answer on as it comes. An answer that breaks off destroys the client's, so that nobody takes it for whole. */
export function relayResponse(exchange: Exchange, response: IncomingMessage, memory: SpliceMemory): void {
  const { incoming, outgoing } = exchange
  // An answer that is cut raises 'error' and then 'close', which decides.
  response.on('error', () => undefined)
  if (exchange.isOver || outgoing.destroyed || outgoing.headersSent) {
    response.destroy()
    return
  }
  exchange.isAnswered = true
  const isEarly = isStillSending(incoming)
  if (!writeHead(exchange, response, isEarly)) return
  const length = isEarly ? undefined : spliceableLength(incoming.method, response)
  const lease = length === undefined ? undefined : memory.acquire()
  if (length !== undefined && lease !== undefined) {
    spliceBody(exchange, response, { length, lease })
    return
  }
  response.once('close', () => {
    if (!response.complete) failExchange(exchange, ANSWER_CUT)
  })
  if (isEarly) relayEarly(exchange, response)
  else response.pipe(outgoing)
}

function writeHead(exchange: Exchange, response: IncomingMessage, isEarly: boolean): boolean {
  const headers = responseHeaders(response.rawHeaders)
  if (isEarly) exchange.outgoing.shouldKeepAlive = false
  try {
    exchange.outgoing.writeHead(response.statusCode ?? 502, headers)
    return true
  } catch {
    response.destroy()
    failExchange(exchange, { kind: 'broke-off', cause: 'the answer has a head that cannot be passed on' })
    return false
  }
}

// The answer came while the client still uploads. Node's client has dropped its 'drain' listener by now, so the rest
// of the upload could stall for ever: it is taken off the registry, read for a while, and the connection closed.
function relayEarly({ incoming, outgoing, request, upload }: Exchange, response: IncomingMessage): void {
  upload?.stop()
  response.pipe(outgoing, { end: false })
  response.once('end', () => {
    request?.destroy()
    endWhenRead(incoming, outgoing)
  })
}
