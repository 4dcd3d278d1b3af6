// Answers for connections whose bytes never became a request: written by hand, for there is nothing to answer on.

import type { ServerResponse } from 'node:http'
import type { Server } from 'node:https'
import type { Duplex } from 'node:stream'
import { errorCode } from '../../errors/errors.ts'
import { MAX_DRAIN_BYTES, MAX_DRAIN_MS } from '../../upstream/drain-request-body.ts'
import type { OnTcp } from './connection.ts'
import { formatRefusal, refusal, type Refusal } from '../refusals.ts'

/** Tells clients what is wrong with what they sent, where a sentence can still reach them. */
export function answerWhatCannotBeParsed(server: Server): void {
  server.on('clientError', (error, socket) => {
    answerUnparsable(error, socket as ParsedSocket)
  })
  server.on('tlsClientError', (error, socket) => {
    if (errorCode(error) === 'ERR_SSL_HTTP_REQUEST') answerPlainHttp(socket)
    else socket.destroy()
  })
}

function answerUnparsable(error: Error, socket: ParsedSocket): void {
  // Each piece that still comes is another error; what it belongs to has been dealt with.
  if (socket[IS_ENDING] === true) return
  if (errorCode(error) === 'ECONNRESET' || !socket.writable) {
    socket.destroy()
    return
  }
  socket[IS_ENDING] = true
  const answer = socket._httpMessage
  if (answer?.req.complete === true) endAfter(answer, socket)
  // A body that turns malformed while its request is being answered must not get a second answer.
  else if (answer?.headersSent === true) socket.destroySoon()
  else endWith(refusalOf(error), socket)
}

// What is malformed stands behind a request that is whole and still being answered. A refusal now would be taken for
// that request's answer, though the registry may have done what it asks; so its own answer is the last one here.
function endAfter(answer: ServerResponse, socket: ParsedSocket): void {
  answer.shouldKeepAlive = false
  answer.once('close', () => {
    socket.destroySoon()
  })
}

/** Ends a connection with a refusal, written past Node's HTTP server. Nothing else may be waiting to be written. */
export function endWith(answer: Refusal, socket: ReadSocket): void {
  // Closed at once, with bytes of the client's unread, the connection would be reset and the refusal lost with it.
  discard(socket)
  const timer = setTimeout(() => socket.destroy(), MAX_DRAIN_MS)
  socket.once('close', () => {
    clearTimeout(timer)
  })
  socket.end(formatRefusal(answer))
}

/** Reads on without parsing, so that the client's end is still seen. Cuts a client that sends too much. */
export function discard(socket: ReadSocket): void {
  const readBefore = socket.bytesRead
  // Node's parser, which would make requests of the bytes.
  socket.removeAllListeners('data')
  socket.on('data', () => {
    if (socket.bytesRead - readBefore > MAX_DRAIN_BYTES) socket.destroy()
  })
}

const IS_ENDING = Symbol('is ending')

type ReadSocket = Duplex & { readonly bytesRead: number }

// Node's name for the answer that a connection is working on; its own default handler looks there too.
type ParsedSocket = ReadSocket & {
  readonly _httpMessage?: ServerResponse | null
  [IS_ENDING]?: boolean
  destroySoon(): void
}

// Somebody wrote http:// where https:// belongs. The TLS layer has given up by then; the connection below it can
// still carry a sentence.
function answerPlainHttp(socket: OnTcp<Duplex>): void {
  const connection = socket._parent
  if (connection?.writable !== true) {
    socket.destroy()
    return
  }
  connection.on('error', () => connection.destroy())
  connection.end(formatRefusal(refusal('badRequest', 'this port speaks HTTPS: write https://')))
}

function refusalOf(error: Error): Refusal {
  switch (errorCode(error)) {
    case 'HPE_HEADER_OVERFLOW':
      return refusal('headTooLarge', 'the request head is too large')
    case 'HPE_INVALID_VERSION':
    case 'HPE_PAUSED_H2_UPGRADE':
      return refusal('badVersion', 'a request line ends in HTTP/1.1 or HTTP/1.0')
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return refusal('tooSlow', 'the request head came too slowly')
    default:
      return refusal('badRequest', 'malformed request')
  }
}
