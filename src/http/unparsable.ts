// Answers for connections whose bytes never became a request: written by hand, for there is nothing to answer on.

import type { ServerResponse } from 'node:http'
import type { Server } from 'node:https'
import type { Duplex } from 'node:stream'
import { errorCode } from '../errors.ts'
import { formatRefusal, refusal, type Refusal } from './registry-error.ts'

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
  if (errorCode(error) === 'ECONNRESET' || !socket.writable) {
    socket.destroy()
    return
  }
  // A body that turns malformed while its request is being answered must not get a second answer.
  if (socket._httpMessage?.headersSent === true) socket.destroySoon()
  else socket.end(formatRefusal(refusalOf(error)), () => socket.destroy())
}

// Node's name for the answer that a connection is working on; its own default handler looks there too.
type ParsedSocket = Duplex & { readonly _httpMessage?: ServerResponse | null; destroySoon(): void }

// Somebody wrote http:// where https:// belongs. The TLS layer has given up by then; the connection below it, which
// Node keeps under this name, can still carry a sentence.
function answerPlainHttp(socket: Duplex & { readonly _parent?: Duplex | null }): void {
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
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return refusal('tooSlow', 'the request head came too slowly')
    default:
      return refusal('badRequest', 'malformed request')
  }
}
