// Large bodies from the registry's socket to the client's, past Node's HTTP parser.
//
// The ordinary way allocates and copies 64 KiB at a time and takes each piece through four streams. Here one buffer is
// read into, written from, and only then read into again: no allocation, no copy, half the processor time.
//
// Why reuse is safe: the buffer is handed to one write at a time, and nothing reads into it before that write's
// callback. The callback comes after the TLS layer has encrypted the bytes into memory of its own and sent them, so
// nobody looks at the buffer any more. It is the back-pressure too: a slow client stops the reading.

import { Agent, type AgentOptions, type IncomingMessage } from 'node:http'
import net, { type NetConnectOpts, type Socket } from 'node:net'
import { failExchange, type Exchange } from '../exchange.ts'
import { readBeforeFailing } from '../failed-write.ts'
import { ANSWER_CUT } from '../failure.ts'
import type { SpliceLease } from './splice-memory.ts'

const ROUTE = Symbol('route')

/** Where a socket's bytes go instead of to the parser. */
interface Sink {
  readonly lease: SpliceLease
  /** Takes what was read; false stops the reading until it is resumed. */
  readonly take: (view: Buffer) => boolean
}

interface Route {
  socket?: Socket
  /** Absent: to the parser. */
  sink?: Sink
}

// What a parsed read takes at most; Node's own size.
const PARSED_READ_BYTES = 64 * 1024

// Below this a kept-alive connection is worth more than cheaper bytes: a spliced one cannot be used again.
const MIN_SPLICED_BYTES = 1024 * 1024

/** An agent whose sockets can be spliced. Until they are, the parser gets their bytes as from any other socket. */
export function createSplicingAgent(options: AgentOptions): Agent {
  return Object.assign(new Agent(options), { createConnection: connect })
}

/** The length of a body that can be spliced, or undefined. */
export function spliceableLength(method: string | undefined, response: IncomingMessage): number | undefined {
  const { statusCode, headers } = response
  if (method !== 'GET' || (statusCode !== 200 && statusCode !== 206)) return undefined
  if (headers['transfer-encoding'] !== undefined || routeOf(response) === undefined) return undefined
  const text = headers['content-length'] ?? ''
  const length = /^\d{1,15}$/.test(text) ? Number(text) : 0
  return length >= MIN_SPLICED_BYTES ? length : undefined
}

export interface Splice {
  readonly length: number
  readonly lease: SpliceLease
}

/** Sends the body of an answer whose head has been written. Short or overlong ones fail the exchange. */
export function spliceBody(exchange: Exchange, response: IncomingMessage, { length, lease }: Splice): void {
  const { outgoing } = exchange
  const { socket } = response
  let left = length
  let isWriting = false

  outgoing.once('close', () => {
    lease.release({ reusable: outgoing.writableFinished })
  })
  // What the parser had read together with the head. It comes before the next read, for it waits in this tick.
  response.on('data', (chunk: Buffer) => {
    send(chunk)
  })
  response.once('close', () => {
    if (left > 0) failExchange(exchange, ANSWER_CUT)
  })
  const route = routeOf(response)
  if (route !== undefined) route.sink = { lease, take }

  function take(view: Buffer): boolean {
    // Cannot happen while reading stops for each write. If it did, bytes on their way would have been overwritten.
    if (isWriting) {
      failExchange(exchange, { kind: 'broke-off', cause: 'a read overtook a write' })
      return false
    }
    isWriting = true
    lease.advance()
    const startedAt = performance.now()
    send(view, () => {
      isWriting = false
      lease.sent(view.length, performance.now() - startedAt)
      socket.resume()
    })
    return false
  }

  function send(view: Buffer, onSent?: () => void): void {
    if (exchange.isOver) return
    left -= view.length
    if (left < 0) {
      failExchange(exchange, { kind: 'broke-off', cause: 'the answer is longer than its length' })
    } else if (left === 0) {
      // The parser knows nothing of the bytes that went past it: this connection is of no further use.
      outgoing.end(view, () => socket.destroy())
    } else {
      outgoing.write(view, (error) => {
        if (error === undefined || error === null) onSent?.()
      })
    }
  }
}

function routeOf(response: IncomingMessage): Route | undefined {
  const socket: Socket & { readonly [ROUTE]?: Route } = response.socket
  return socket[ROUTE]
}

// One for all connections: what is read into it has been copied before the next read of any of them.
const PARSED = Buffer.allocUnsafeSlow(PARSED_READ_BYTES)

function connect(options: NetConnectOpts): Socket {
  const route: Route = {}
  const onread = {
    // Asked after each read, for the next one.
    buffer: () => route.sink?.lease.buffer ?? PARSED,
    callback: (bytes: number, memory: Uint8Array): boolean => {
      const view = Buffer.from(memory.buffer, memory.byteOffset, bytes)
      // A write, and a stream that is not flowing, keep what they are given while others read into the shared memory.
      const own = memory.buffer === PARSED.buffer ? Buffer.from(view) : view
      return route.sink?.take(own) ?? route.socket?.push(own) ?? false
    },
  }
  const socket = net.connect({ ...options, onread })
  route.socket = socket
  readBeforeFailing(socket)
  return Object.assign(socket, { [ROUTE]: route })
}
