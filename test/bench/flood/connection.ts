// A TLS connection that does as little as possible for an answer: whatever the clients compute is taken from the
// processor that they measure.

import { once } from 'node:events'
import net from 'node:net'
import tls from 'node:tls'

/** Where a client connects, and from which of the loopback's addresses. */
export interface Route {
  readonly port: number
  /** The root to trust, PEM. */
  readonly ca: string
  readonly localAddress: string
}

export interface Connection {
  readonly isOpen: boolean
  /** Sends one `GET /v2/` and resolves to the status once the whole answer is there; 0 when the connection ends. */
  login(name: string, password: string): Promise<number>
  close(): void
}

/** Rejects when there is no connection to be had. */
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
    if (isWhole(soFar)) answered(Number(soFar.slice('HTTP/1.1 '.length, 'HTTP/1.1 200'.length)))
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

function isWhole(answer: string): boolean {
  const end = answer.indexOf('\r\n\r\n')
  const length = /\r\nContent-Length: (\d+)/i.exec(answer)?.[1]
  return end !== -1 && length !== undefined && answer.length >= end + 4 + Number(length)
}
