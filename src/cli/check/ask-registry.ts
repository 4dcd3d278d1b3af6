// Sends `GET /v2/` without credentials on an open TLS connection.

import { request, type IncomingMessage } from 'node:http'
import type { TLSSocket } from 'node:tls'
import { errorCode, errorMessage } from '../../errors/errors.ts'

export type RegistryAnswer =
  | {
      readonly kind: 'answer'
      readonly status: number
      readonly headers: IncomingMessage['headers']
      /** Cut after 4096 characters. */
      readonly body: string
    }
  /** The connection ended, or the bytes were not HTTP. `code` is Node's. */
  | { readonly kind: 'broken'; readonly code: string }
  | { readonly kind: 'timeout' }

const MAX_BODY_LENGTH = 4096

/** Asks what every client asks first (OCI distribution specification, end-1), then closes the connection. Never rejects. */
export function askRegistry(socket: TLSSocket, host: string, timeoutMs: number): Promise<RegistryAnswer> {
  return new Promise((resolve) => {
    const finish = (answer: RegistryAnswer): void => {
      clearTimeout(timer)
      resolve(answer)
      socket.destroy()
    }
    const timer = setTimeout(() => {
      finish({ kind: 'timeout' })
    }, timeoutMs)
    const headers = { host, accept: '*/*', connection: 'close' }
    const outgoing = request({ createConnection: () => socket, path: '/v2/', headers }, (response) => {
      readBody(response, (body) => {
        finish({ kind: 'answer', status: response.statusCode ?? 0, headers: response.headers, body })
      })
    })
    outgoing.on('error', (error) => {
      finish({ kind: 'broken', code: errorCode(error) ?? errorMessage(error) })
    })
    outgoing.end()
  })
}

function readBody(response: IncomingMessage, onRead: (body: string) => void): void {
  let body = ''
  response.setEncoding('utf8')
  response.on('data', (text: string) => {
    body += text
    if (body.length > MAX_BODY_LENGTH) onRead(body.slice(0, MAX_BODY_LENGTH))
  })
  // A truncated body still tells which service answered.
  response.on('error', () => {
    onRead(body)
  })
  response.on('close', () => {
    onRead(body)
  })
}
