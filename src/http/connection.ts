// One accepted connection, as the limits see it, and how it is found again from either of its two sockets.

import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { TLSSocket } from 'node:tls'
import type { Entry } from './connection-table.ts'

/** The limits that keep a connection out. */
export type ConnectionLimit = 'connections' | 'connections-per-source'

export interface Connection extends Entry {
  /** That of TCP. */
  readonly socket: Socket
  /** Which limit it is over; then its first request is told so, and nothing else happens on it. */
  readonly over: ConnectionLimit | undefined
  requests: number
  /** The answer that is being worked on, or was the last. */
  answer: ServerResponse | undefined
}

const CONNECTION = Symbol('connection')

type WithConnection = Socket & { [CONNECTION]?: Connection }

/** A TLS socket, with Node's name for the TCP connection that it runs on. */
export type OnTcp<S extends Duplex> = TLSSocket & { readonly _parent?: S | null }

/** Makes a connection of a TCP socket. */
export function createConnection(parts: Pick<Connection, 'socket' | 'source' | 'over'>): Connection {
  const connection: Connection = {
    ...parts,
    requests: 0,
    usedAt: 0,
    answer: undefined,
    get isBusy() {
      return connection.answer !== undefined && !connection.answer.closed
    },
  }
  const socket: WithConnection = parts.socket
  socket[CONNECTION] = connection
  return connection
}

/** The connection of a socket. Undefined for one that no limit has seen. */
export function connectionOf(socket: WithConnection): Connection | undefined {
  return socket[CONNECTION]
}

/** Lets the connection be found from the TLS socket on top of it, which is the one that requests know. */
export function passOn(socket: OnTcp<WithConnection> & WithConnection): void {
  const connection = socket._parent?.[CONNECTION]
  if (connection !== undefined) socket[CONNECTION] = connection
}
