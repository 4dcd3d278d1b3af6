// Limits open connections, in all and per source, and requests per connection.
//
// A connection counts from the moment TCP accepts it until it is closed: one that never finishes its handshake takes a
// file descriptor like any other. When a limit is reached, an open connection is closed for the new one. Refusing the
// new one instead would let anyone who holds enough silent connections lock out everyone. Connections that carry a
// verified user's request stay. If all do, the new connection is closed before its handshake.

import type { RequestListener } from 'node:http'
import type { Socket } from 'node:net'
import type { LimitAudit } from '../limit-audit.ts'
import { createConnectionTable, type ConnectionTable } from './connection-table.ts'
import { connectionOf, openConnection, type ClientCaGeneration, type Connection } from './connection.ts'

export interface ConnectionLimits {
  /** Registers a new connection; false if it is closed instead. */
  accept(tcp: Socket, clientCas: ClientCaGeneration): boolean
  /** Counts the requests of each connection and ends it with its last answer. */
  readonly limitRequests: (listener: RequestListener) => RequestListener
  /** The only list of open connections. */
  readonly table: ConnectionTable<Connection>
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

  function accept(tcp: Socket, clientCas: ClientCaGeneration): boolean {
    const connection = openConnection(tcp, clientCas)
    if (connection === undefined || !hasRoomFor(connection)) {
      tcp.on('error', () => undefined)
      tcp.destroy()
      return false
    }
    table.add(connection)
    tcp.once('close', () => {
      table.remove(connection)
    })
    return true
  }

  function hasRoomFor({ source }: Connection): boolean {
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
    // Removed here and not at its 'close', because other connections arrive before that.
    table.remove(connection)
    connection.tcp.destroy()
    return true
  }

  return {
    accept,
    limitRequests: (listener) => (incoming, outgoing) => {
      const connection = connectionOf(incoming.socket)
      if (++connection.requests >= maxRequests) {
        // The last answer announces the end, so that no request is on its way when the connection ends.
        outgoing.shouldKeepAlive = false
        audit.reached('requests-per-connection', connection.source)
      }
      listener(incoming, outgoing)
    },
    table,
  }
}
