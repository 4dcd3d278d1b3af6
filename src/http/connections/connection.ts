// One accepted connection, found again from either of its two sockets.

import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { TLSSocket } from 'node:tls'
import type { Entry } from './connection-table.ts'

export interface Connection extends Entry {
  /** That of TCP. */
  readonly socket: Socket
  requests: number
}

const CONNECTION = Symbol('connection')

type WithConnection = Socket & { [CONNECTION]?: Connection }

/** A TLS socket, with Node's name for the TCP connection that it runs on. */
export type OnTcp<S extends Duplex> = TLSSocket & { readonly _parent?: S | null }

/** Makes a connection of a TCP socket. */
export function createConnection(parts: Pick<Connection, 'socket' | 'source'>): Connection {
  const connection: Connection = { ...parts, requests: 0 }
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
