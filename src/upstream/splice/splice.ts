// Splices large bodies from socket to socket, past Node's HTTP parser.
// One buffer for each body halves the CPU time. The next read waits until TLS has encrypted the bytes.

import { Agent, type AgentOptions, type IncomingMessage } from 'node:http'
import net, { type NetConnectOpts, type Socket } from 'node:net'
import { connectToSocket, type OnConnected } from '../connect/connect-to-socket.ts'
import { failExchange, type Exchange } from '../exchange.ts'
import { readBeforeFailing } from '../failed-write.ts'
import { ANSWER_CUT } from '../failure.ts'
import type { SpliceLease } from './splice-memory.ts'

const ROUTE = Symbol('route')

interface Sink {
  readonly lease: SpliceLease
  /** Returns false to stop reading until the socket is resumed. */
  readonly take: (view: Buffer) => boolean
}

interface Route {
  socket?: Socket
  sink?: Sink
}

const PARSED_READ_BYTES = 64 * 1024

// A spliced connection cannot be reused. For smaller bodies, reusing a connection saves more CPU time.
const MIN_SPLICED_BYTES = 1024 * 1024

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

/** The head must already be written. A body of another length fails the exchange. */
export function spliceBody(exchange: Exchange, response: IncomingMessage, { length, lease }: Splice): void {
  const { outgoing } = exchange
  const { socket } = response
  let left = length
  let isWriting = false

  outgoing.once('close', () => {
    lease.release({ reusable: outgoing.writableFinished })
  })
  response.on('data', (chunk: Buffer) => {
    send(chunk)
  })
  response.once('close', () => {
    if (left > 0) failExchange(exchange, ANSWER_CUT)
  })
  const route = routeOf(response)
  if (route !== undefined) route.sink = { lease, take }

  function take(view: Buffer): boolean {
    // Reading must stop during each write, because a read would overwrite unsent bytes.
    if (isWriting) {
      failExchange(exchange, { kind: 'broke-off', cause: 'bytes were read during a write' })
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
      failExchange(exchange, { kind: 'broke-off', cause: 'the answer is longer than its Content-Length' })
    } else if (left === 0) {
      // The parser has not seen the spliced bytes, so this connection cannot be reused.
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

const PARSER_BUFFER = Buffer.allocUnsafeSlow(PARSED_READ_BYTES)

type ConnectOptions = NetConnectOpts & { readonly socketPath?: string | undefined }

function connect(options: ConnectOptions, onConnected: OnConnected): Socket | undefined {
  if (options.socketPath === undefined) return open(options)
  connectToSocket(() => open(options), onConnected)
  return undefined
}

function open(options: NetConnectOpts): Socket {
  const route: Route = {}
  const onread = {
    buffer: () => route.sink?.lease.buffer ?? PARSER_BUFFER,
    callback: (bytes: number, memory: Uint8Array): boolean => {
      const view = Buffer.from(memory.buffer, memory.byteOffset, bytes)
      // A write or a paused stream may still need the bytes when another connection reads into the shared buffer.
      const bytesToKeep = memory.buffer === PARSER_BUFFER.buffer ? Buffer.from(view) : view
      return route.sink?.take(bytesToKeep) ?? route.socket?.push(bytesToKeep) ?? false
    },
  }
  const socket = net.connect({ ...options, onread })
  route.socket = socket
  readBeforeFailing(socket)
  return Object.assign(socket, { [ROUTE]: route })
}
