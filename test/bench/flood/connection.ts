// Opens a TLS connection that needs little CPU per request.
//
// CPU time of the clients would slow down the sidecar that they measure.

import { once } from 'node:events'
import net from 'node:net'
import tls from 'node:tls'

/** The server, and the loopback address of the client. */
export interface Route {
  readonly port: number
  /** The root to trust, PEM. */
  readonly ca: string
  readonly localAddress: string
}

export interface Connection {
  readonly isOpen: boolean
  /** Sends `GET /v2/` and resolves to the status of the complete answer, or to 0 if the connection ends. */
  login(name: string, password: string): Promise<number>
  close(): void
}

/** Rejects if the server refuses the connection. */
export async function connect({ port, ca, localAddress }: Route): Promise<Connection> {
  const host = '127.0.0.1'
  const socket = tls.connect({ ca, host, socket: net.connect({ host, port, localAddress, noDelay: true }) })
  await once(socket, 'secureConnect')
  let soFar = ''
  let answered: (status: number) => void = () => undefined
  socket.on('error', () => undefined)
  socket.on('close', () => {
    answered(0)
  })
  socket.on('data', (chunk: Buffer) => {
    soFar += chunk.toString('latin1')
    if (isComplete(soFar)) answered(Number(soFar.slice('HTTP/1.1 '.length, 'HTTP/1.1 200'.length)))
  })
  return {
    get isOpen() {
      return socket.writable
    },
    login: (name, password) =>
      new Promise((resolve) => {
        soFar = ''
        answered = resolve
        const token = Buffer.from(`${name}:${password}`).toString('base64')
        socket.write(`GET /v2/ HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Basic ${token}\r\n\r\n`)
      }),
    close: () => {
      socket.destroy()
    },
  }
}

function isComplete(answer: string): boolean {
  const end = answer.indexOf('\r\n\r\n')
  const length = /\r\nContent-Length: (\d+)/i.exec(answer)?.[1]
  return end !== -1 && length !== undefined && answer.length >= end + 4 + Number(length)
}
