// Limits open connections (total and per source) and requests per connection.
// A trusted proxy has no limit per source, because its connections carry many clients.
// Threat: silent connections lock out everyone. So a new connection replaces a connection without a verified request.

import type { RequestListener } from 'node:http'
import type { Socket } from 'node:net'
import type { LimitAudit } from '../limit-audit.ts'
import { createConnectionTable, type ConnectionTable } from './connection-table.ts'
import { connectionOf, type Connection } from './connection.ts'

export interface ConnectionLimits {
  /** Destroys a connection for which there is no room. */
  accept(connection: Connection): boolean
  readonly limitRequests: (listener: RequestListener) => RequestListener
  readonly table: ConnectionTable<Connection>
}

export interface ConnectionLimitsOptions {
  /** `Infinity` for no limit, here and below. */
  readonly maxConnections: number
  readonly maxPerSource: number
  readonly maxRequests: number
  readonly audit: LimitAudit
  /** In milliseconds. */
  readonly clock: () => number
}

export function createConnectionLimits(options: ConnectionLimitsOptions): ConnectionLimits {
  const { maxConnections, maxPerSource, maxRequests, audit, clock } = options
  const table = createConnectionTable<Connection>(clock)

  function accept(connection: Connection): boolean {
    if (!hasRoomFor(connection)) {
      destroyTcp(connection.tcp)
      return false
    }
    table.add(connection)
    connection.tcp.once('close', () => {
      table.remove(connection)
    })
    return true
  }

  function hasRoomFor({ source, isProxy }: Connection): boolean {
    if (!isProxy && table.countOf(source) >= maxPerSource) {
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
    // Removed now, because other connections may arrive before 'close'.
    table.remove(connection)
    connection.tcp.destroy()
    return true
  }

  return {
    accept,
    limitRequests: (listener) => (incoming, outgoing) => {
      const connection = connectionOf(incoming.socket)
      if (++connection.requests >= maxRequests) {
        outgoing.shouldKeepAlive = false
        audit.reached('requests-per-connection', connection.source)
      }
      listener(incoming, outgoing)
    },
    table,
  }
}

export function destroyTcp(tcp: Socket): void {
  tcp.on('error', () => undefined)
  tcp.destroy()
}
