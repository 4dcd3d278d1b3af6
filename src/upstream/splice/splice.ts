// Splices large bodies from socket to socket, past Node's HTTP parser.
//
// Piping allocates and copies 64 KiB at a time and moves each piece through four streams. A splice reads into one
// buffer, writes it, and then reads into it again: no allocation, no copy, half the CPU time.
//
// The reuse is safe because only one write uses the buffer, and the next read waits for the callback of that write.
// At the callback the TLS layer has encrypted the bytes into other memory and sent them. This wait is also the
// back-pressure: a slow client stops the reading.

import { Agent, type AgentOptions, type IncomingMessage } from 'node:http'
import net, { type NetConnectOpts, type Socket } from 'node:net'
import { failExchange, type Exchange } from '../exchange.ts'
import { readBeforeFailing } from '../failed-write.ts'
import { ANSWER_CUT } from '../failure.ts'
import type { SpliceLease } from './splice-memory.ts'

const ROUTE = Symbol('route')

/** Receives a socket's bytes instead of the parser. */
interface Sink {
  readonly lease: SpliceLease
  /** Takes the bytes of one read. Returns false to stop reading until the socket is resumed. */
  readonly take: (view: Buffer) => boolean
}

interface Route {
  socket?: Socket
  /** Without a sink, the parser gets the bytes. */
  sink?: Sink
}

// The size of a read for the parser, as in Node.
const PARSED_READ_BYTES = 64 * 1024

// A spliced connection cannot be used again. For smaller bodies a kept connection saves more.
const MIN_SPLICED_BYTES = 1024 * 1024

/** Creates an agent whose sockets can be spliced. Until then, the parser gets their bytes as usual. */
export function createSplicingAgent(options: AgentOptions): Agent {
  return Object.assign(new Agent(options), { createConnection: connect })
}

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

/** Sends the body of an answer whose head is already written. A body of another length fails the exchange. */
export function spliceBody(exchange: Exchange, response: IncomingMessage, { length, lease }: Splice): void {
  const { outgoing } = exchange
  const { socket } = response
  let left = length
  let isWriting = false

  outgoing.once('close', () => {
    lease.release({ reusable: outgoing.writableFinished })
  })
  // The parser may have read the start of the body with the head. These bytes come in this tick, before the next
  // read.
  response.on('data', (chunk: Buffer) => {
    send(chunk)
  })
  response.once('close', () => {
    if (left > 0) failExchange(exchange, ANSWER_CUT)
  })
  const route = routeOf(response)
  if (route !== undefined) route.sink = { lease, take }

  function take(view: Buffer): boolean {
    // This cannot happen because reading stops for each write. If it did, unsent bytes would have been overwritten.
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
      // The parser has not seen the spliced bytes, so this connection cannot be used again.
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

// All connections share it, because the bytes of a read are copied before the next read of any connection.
const PARSER_BUFFER = Buffer.allocUnsafeSlow(PARSED_READ_BYTES)

function connect(options: NetConnectOpts): Socket {
  const route: Route = {}
  const onread = {
    // Called after each read, for the next one.
    buffer: () => route.sink?.lease.buffer ?? PARSER_BUFFER,
    callback: (bytes: number, memory: Uint8Array): boolean => {
      const view = Buffer.from(memory.buffer, memory.byteOffset, bytes)
      // A write or a paused stream keeps the bytes while other connections read into the shared buffer.
      const bytesToKeep = memory.buffer === PARSER_BUFFER.buffer ? Buffer.from(view) : view
      return route.sink?.take(bytesToKeep) ?? route.socket?.push(bytesToKeep) ?? false
    },
  }
  const socket = net.connect({ ...options, onread })
  route.socket = socket
  readBeforeFailing(socket)
  return Object.assign(socket, { [ROUTE]: route })
}
