// Forwards the registry's answer to the client.

import type { IncomingMessage, ServerResponse } from 'node:http'
import { failExchange, type Exchange } from './exchange.ts'
import { ANSWER_CUT } from './failure.ts'
import { responseHeaders } from './headers.ts'
import { endWhenRead, hasBody, isStillSending } from './drain-request-body.ts'
import type { LocationRewrite } from './location-rewrite.ts'
import type { SpliceMemory } from './splice/splice-memory.ts'
import { spliceableLength, spliceBody } from './splice/splice.ts'
import { unusableAnswer } from './unusable-answer.ts'

export interface ResponseParts {
  readonly memory: SpliceMemory
  readonly rewriteLocation: LocationRewrite
  readonly onFirstByte?: ((waitedMs: number) => void) | undefined
}

/** If the answer breaks off, the client's connection is destroyed, so that the client notices. */
export function forwardResponse(
  exchange: Exchange,
  response: IncomingMessage,
  { memory, rewriteLocation, onFirstByte }: ResponseParts,
): void {
  const { incoming, outgoing } = exchange
  // If the answer breaks off, 'close' follows 'error'. The 'close' listener reports the failure.
  response.on('error', () => undefined)
  if (exchange.isOver || outgoing.destroyed || outgoing.headersSent) {
    response.destroy()
    return
  }
  const failure = unusableAnswer(response)
  if (failure !== undefined) {
    failExchange(exchange, failure)
    return
  }
  exchange.answer = response
  // Requests with a body are not measured, because their time depends on the client.
  if (!hasBody(incoming)) onFirstByte?.(performance.now() - exchange.beganAt)
  exchange.onAnswer?.(response)
  const isEarly = isStillSending(incoming)
  if (isEarly) outgoing.shouldKeepAlive = false
  if (!writeHead(exchange, response, rewriteLocation)) return
  const length = isEarly ? undefined : spliceableLength(incoming.method, response)
  const lease = length === undefined ? undefined : memory.acquire()
  if (length !== undefined && lease !== undefined) {
    spliceBody(exchange, response, { length, lease })
    return
  }
  response.once('close', () => {
    if (!response.complete) failExchange(exchange, ANSWER_CUT)
  })
  if (isEarly) forwardEarly(exchange, response)
  else response.pipe(outgoing)
}

function writeHead(exchange: Exchange, response: IncomingMessage, rewriteLocation: LocationRewrite): boolean {
  const { host } = exchange.incoming.headers
  const headers = responseHeaders(response.rawHeaders, { host, rewriteLocation })
  try {
    writeHeaders(exchange.outgoing, response.statusCode ?? 502, headers)
    return true
  } catch {
    response.destroy()
    failExchange(exchange, { kind: 'broke-off', cause: 'the head of the answer cannot be forwarded' })
    return false
  }
}

// After setHeader(), writeHead() would join headers of the same name into one line.
function writeHeaders(outgoing: ServerResponse, status: number, headers: string[]): void {
  if (outgoing.getHeaderNames().length === 0) {
    outgoing.writeHead(status, headers)
    return
  }
  const lines = new Map<string, { readonly name: string; readonly values: string[] }>()
  for (let i = 0; i + 1 < headers.length; i += 2) {
    const [name = '', value = ''] = [headers[i], headers[i + 1]]
    const line = lines.get(name.toLowerCase()) ?? { name, values: [] }
    line.values.push(value)
    lines.set(name.toLowerCase(), line)
  }
  for (const [key, { name, values }] of lines) {
    if (key === 'vary') outgoing.appendHeader(name, values)
    else outgoing.setHeader(name, values)
  }
  outgoing.writeHead(status)
}

// Node's client emits no 'drain' after an early answer, so the rest of the upload could stall.
function forwardEarly({ incoming, outgoing, request, upload }: Exchange, response: IncomingMessage): void {
  upload?.stop()
  response.pipe(outgoing, { end: false })
  response.once('end', () => {
    request?.destroy()
    endWhenRead(incoming, outgoing)
  })
}
