// The question that every client begins with, on a connection that is there already and without credentials.

import { request, type IncomingMessage } from 'node:http'
import type { TLSSocket } from 'node:tls'
import { errorCode, errorMessage } from '../../errors.ts'

export type RegistryAnswer =
  | {
      readonly kind: 'answer'
      readonly status: number
      readonly headers: IncomingMessage['headers']
      /** Its beginning. */
      readonly body: string
    }
  /** The connection ended, or what came was no HTTP. `code` is Node's. */
  | { readonly kind: 'broken'; readonly code: string }
  | { readonly kind: 'late' }

const MAX_BODY = 4096

/** Asks for `GET /v2/` (OCI distribution specification, end-1), and ends the connection. Never rejects. */
export function askRegistry(socket: TLSSocket, host: string, timeoutMs: number): Promise<RegistryAnswer> {
  return new Promise((resolve) => {
    const done = (answer: RegistryAnswer): void => {
      clearTimeout(timer)
      resolve(answer)
      socket.destroy()
    }
    const timer = setTimeout(() => {
      done({ kind: 'late' })
    }, timeoutMs)
    const headers = { host, accept: '*/*', connection: 'close' }
    const sent = request({ createConnection: () => socket, path: '/v2/', headers }, (response) => {
      readStart(response, (body) => {
        done({ kind: 'answer', status: response.statusCode ?? 0, headers: response.headers, body })
      })
    })
    sent.on('error', (error) => {
      done({ kind: 'broken', code: errorCode(error) ?? errorMessage(error) })
    })
    sent.end()
  })
}

function readStart(response: IncomingMessage, onRead: (body: string) => void): void {
  let body = ''
  response.setEncoding('utf8')
  response.on('data', (text: string) => {
    body += text
    if (body.length > MAX_BODY) onRead(body.slice(0, MAX_BODY))
  })
  // A body that breaks off is as good as its beginning here.
  response.on('error', () => {
    onRead(body)
  })
  response.on('close', () => {
    onRead(body)
  })
}
