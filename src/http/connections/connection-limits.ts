// Limits how many connections are open, in all and per source, and how many requests each carries.
//
// A connection counts from the moment TCP accepts it until it is closed: one that never finishes its handshake takes a
// file descriptor like any other. When a limit is reached, an open connection is closed for the new one; refusing the
// new one instead would let anyone who holds enough silent connections lock everybody out. Only what carries a
// verified user's request stays. Where everything does, the new connection is closed before any handshake.

import type { RequestListener } from 'node:http'
import type { Server } from 'node:https'
import type { Socket } from 'node:net'
import { sourceOf } from '../client-address.ts'
import { guardServer } from './connection-guard.ts'
import { createConnectionTable } from './connection-table.ts'
import { connectionOf, createConnection, type Connection } from './connection.ts'
import type { LimitAudit } from '../limit-audit.ts'

export interface ConnectionLimits {
  /** Puts the limits before all that the server does with a new connection. Called once, before it listens. */
  guard(server: Server): void
  /** Counts the requests of each connection, and ends it with the answer to its last one. */
  perRequest(listener: RequestListener): RequestListener
  /** A verified user's request begins on this connection; the returned function ends it. */
  use(socket: Socket): () => void
  /** Connections that are open now. */
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

export function createConnectionLimits(options: ConnectionLimitsOptions): ConnectionLimits {
  const { maxConnections, maxPerSource, maxRequests, audit, clock } = options
  const table = createConnectionTable<Connection>(clock)

  function accept(socket: Socket): boolean {
    // The client has closed it already.
    if (socket.remoteAddress === undefined) return drop(socket)
    const source = sourceOf(socket.remoteAddress)
    if (!hasRoomFor(source)) return drop(socket)
    const connection = createConnection({ socket, source })
    table.add(connection)
    socket.once('close', () => {
      table.remove(connection)
    })
    return true
  }

  function hasRoomFor(source: string): boolean {
    if (table.countOf(source) >= maxPerSource) {
      audit.reached('connections-per-source', source)
      return makeRoom(table.leastUseful(source))
    }
    if (table.size < maxConnections) return true
    const other = table.leastUseful()
    if (other === undefined) audit.reached('connections', source)
    else audit.reached('idle-connections', other.source)
    return makeRoom(other)
  }

  function makeRoom(connection: Connection | undefined): boolean {
    if (connection === undefined) return false
    // Now, not at its 'close': other connections come before that.
    table.remove(connection)
    connection.socket.destroy()
    return true
  }

  return {
    guard: (server) => {
      guardServer(server, { accept, audit })
    },
    perRequest: (listener) => (incoming, outgoing) => {
      const connection = connectionOf(incoming.socket)
      if (connection !== undefined && ++connection.requests >= maxRequests) {
        // Said with the last answer, so that no request is on its way when the connection ends.
        outgoing.shouldKeepAlive = false
        audit.reached('requests-per-connection', connection.source)
      }
      listener(incoming, outgoing)
    },
    use: (socket) => {
      const connection = connectionOf(socket)
      if (connection === undefined) return () => undefined
      table.begin(connection)
      return () => {
        table.end(connection)
      }
    },
    get open() {
      return table.size
    },
  }
}

function drop(socket: Socket): false {
  socket.on('error', () => undefined)
  socket.destroy()
  return false
}
