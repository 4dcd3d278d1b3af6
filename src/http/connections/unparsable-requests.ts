// Answers connections whose bytes are not a request.
// Node has no response object for them, so the answers are written to the socket.

import type { ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { errorCode } from '../../errors/errors.ts'
import { MAX_DRAIN_BYTES, MAX_DRAIN_MS } from '../../upstream/drain-request-body.ts'
import { formatRefusal, refusal, type Refusal } from '../refusals.ts'
import type { Connection } from './connection.ts'

type ReadSocket = Duplex & { readonly bytesRead: number }

type ParsedSocket = ReadSocket & { destroySoon(): void }

export function answerFailedHandshake({ tls, tcp }: Connection, error: Error): void {
  // The TLS layer has ended, but the TCP connection can still carry an answer.
  if (errorCode(error) !== 'ERR_SSL_HTTP_REQUEST' || !tcp.writable) {
    tls?.destroy()
    return
  }
  tcp.on('error', () => tcp.destroy())
  tcp.end(formatRefusal(refusal('badRequest', 'this port expects HTTPS; use https://')))
}

export function answerUnparsable(
  connection: Connection,
  { error, socket }: { readonly error: Error; readonly socket: ParsedSocket },
): void {
  // Each further piece of data causes another error.
  if (connection.isEnding) return
  if (errorCode(error) === 'ECONNRESET' || !socket.writable) {
    socket.destroy()
    return
  }
  connection.isEnding = true
  const [answer] = connection.answers.keys()
  if (answer?.req.complete === true) endAfter(answer, socket)
  // The request has its answer already, so a malformed body gets none.
  else if (answer?.headersSent === true) socket.destroySoon()
  else endWith(refusalOf(error), socket)
}

// The earlier request is complete, so the client would take a refusal for the answer to it.
function endAfter(answer: ServerResponse, socket: ParsedSocket): void {
  answer.shouldKeepAlive = false
  answer.once('close', () => {
    socket.destroySoon()
  })
}

/** Call it only when no other bytes wait to be written. */
export function endWith(answer: Refusal, socket: ReadSocket): void {
  // TCP resets a socket that closes with unread bytes, and the client would lose the refusal.
  discard(socket)
  const timer = setTimeout(() => socket.destroy(), MAX_DRAIN_MS)
  socket.once('close', () => {
    clearTimeout(timer)
  })
  socket.end(formatRefusal(answer))
}

/** Keeps reading, to notice when the client closes. Destroys the connection if the client sends too much. */
export function discard(socket: ReadSocket): void {
  const readBefore = socket.bytesRead
  // Removes Node's parser, which would parse the bytes as requests.
  socket.removeAllListeners('data')
  socket.on('data', () => {
    if (socket.bytesRead - readBefore > MAX_DRAIN_BYTES) socket.destroy()
  })
}

function refusalOf(error: Error): Refusal {
  switch (errorCode(error)) {
    case 'HPE_HEADER_OVERFLOW':
      return refusal('headTooLarge', 'the request head is too large')
    case 'HPE_INVALID_VERSION':
    case 'HPE_PAUSED_H2_UPGRADE':
      return refusal('badVersion', 'a request line must end in HTTP/1.1 or HTTP/1.0')
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return refusal('tooSlow', 'the request head arrived too slowly')
    default:
      return refusal('badRequest', 'malformed request')
  }
}
