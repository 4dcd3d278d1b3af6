// How many connections there may be, in all and of one source, and how many requests on each.
//
// A connection counts from the moment TCP accepts it until it is closed: one that never finishes its handshake takes a
// file descriptor like any other. Who comes when a limit is met gets the place of a connection that has been idle for
// long. When there is none it is refused: in HTTP as long as few are, and by closing the connection in a flood.

import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import type { Server } from 'node:https'
import type { Socket } from 'node:net'
import { sourceOf } from '../auth/source.ts'
import { guardServer } from './connection-guard.ts'
import { createConnectionTable, type ConnectionTable } from './connection-table.ts'
import { connectionOf, createConnection, type Connection, type ConnectionLimit } from './connection.ts'
import { createCourtesy } from './courtesy.ts'
import type { LimitAudit } from './limit-audit.ts'
import { refusal, sendRefusal } from './registry-error.ts'

export interface ConnectionLimits {
  /** Puts the limits before all that the server does with a new connection. Called once, before it listens. */
  guard(server: Server): void
  /** Counts the requests of each connection, and refuses those of a connection that is over a limit. */
  perRequest(listener: RequestListener): RequestListener
  /** A verified user's request begins on this connection; the returned function says that it is over. */
  use(socket: Socket): () => void
  /** Connections that are open now, without those that are only told that they are refused. */
  readonly open: number
}

export interface ConnectionLimitsOptions {
  /** `Infinity` for no limit, here and below. */
  readonly maxConnections: number
  readonly maxPerSource: number
  readonly maxRequests: number
  readonly audit: LimitAudit
  /** Milliseconds. */
  readonly clock: () => number
}

// How long a connection that is refused may take for its handshake and request.
const COURTESY_MS = 5_000

// Above our own limit, for those that are told that they are refused and those that are closing at this moment.
const RESERVE = 128

const RETRY_AFTER_S = '5'

export function createConnectionLimits(options: ConnectionLimitsOptions): ConnectionLimits {
  const { maxConnections, maxPerSource, maxRequests, audit, clock } = options
  const table = createConnectionTable<Connection>(clock)
  // One each: a source over its own limit does not use up what others are told by.
  const courtesies = { connections: createCourtesy(clock), 'connections-per-source': createCourtesy(clock) }

  function accept(socket: Socket): boolean {
    // It has left already.
    if (socket.remoteAddress === undefined) return drop(socket)
    const source = sourceOf(socket.remoteAddress)
    const over = limitMetBy(source)
    if (over !== undefined) return refuse(over, { socket, source })
    const connection = createConnection({ socket, source, over })
    table.add(connection)
    socket.once('close', () => {
      table.remove(connection)
    })
    return true
  }

  function limitMetBy(source: string): ConnectionLimit | undefined {
    if (table.countOf(source) >= maxPerSource && !makeRoom(source)) return 'connections-per-source'
    if (table.size >= maxConnections && !makeRoom()) return 'connections'
    return undefined
  }

  function makeRoom(source?: string): boolean {
    const spare = table.spare(source)
    if (spare === undefined) return false
    audit.reached('idle-connections', spare.source)
    // At once: its 'close' comes too late for the one that is to have its place.
    table.remove(spare)
    spare.socket.destroy()
    return true
  }

  function refuse(over: ConnectionLimit, { socket, source }: Pick<Connection, 'socket' | 'source'>): boolean {
    audit.reached(over, source)
    const giveBack = courtesies[over].take()
    if (giveBack === undefined) return drop(socket)
    createConnection({ socket, source, over })
    const timer = setTimeout(() => socket.destroy(), COURTESY_MS).unref()
    socket.once('close', () => {
      clearTimeout(timer)
      giveBack()
    })
    return true
  }

  return {
    guard: (server) => {
      guardServer(server, { accept, most: maxConnections + RESERVE, audit })
    },
    perRequest: (listener) => limitRequests(listener, { maxRequests, audit }),
    use: (socket) => useOf(table, connectionOf(socket)),
    get open() {
      return table.size
    },
  }
}

function limitRequests(
  listener: RequestListener,
  { maxRequests, audit }: Pick<ConnectionLimitsOptions, 'maxRequests' | 'audit'>,
): RequestListener {
  return function limitRequest(incoming, outgoing) {
    const connection = connectionOf(incoming.socket)
    if (connection?.over !== undefined) {
      refuseOver(connection.over, incoming, outgoing)
      return
    }
    if (connection !== undefined) {
      connection.answer = outgoing
      connection.requests += 1
      if (connection.requests >= maxRequests) {
        // Told with the last answer, so that no request is on its way when the connection ends.
        outgoing.shouldKeepAlive = false
        audit.reached('requests-per-connection', connection.source)
      }
    }
    listener(incoming, outgoing)
  }
}

function useOf(table: ConnectionTable<Connection>, connection: Connection | undefined): () => void {
  if (connection === undefined) return () => undefined
  table.begin(connection)
  return () => {
    table.end(connection)
  }
}

function drop(socket: Socket): false {
  socket.on('error', () => undefined)
  socket.destroy()
  return false
}

function refuseOver(over: ConnectionLimit, incoming: IncomingMessage, outgoing: ServerResponse): void {
  const message =
    over === 'connections' ? 'too many connections' : 'too many connections from this address; close some'
  const answer = refusal('unavailable', `${message}; try again`, { 'Retry-After': RETRY_AFTER_S })
  sendRefusal(incoming, outgoing, { ...answer, closes: true })
}
