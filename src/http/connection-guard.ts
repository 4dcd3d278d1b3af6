// The limits' place in Node's server: in front of everything else that a new connection meets.

import type { DropArgument, Socket } from 'node:net'
import type { Server } from 'node:https'
import { sourceOf } from '../auth/source.ts'
import { errorCode } from '../errors.ts'
import { passOn } from './connection.ts'
import type { LimitAudit } from './limit-audit.ts'

export interface Guard {
  /** False: it is destroyed, and nobody else is to hear of it. */
  readonly accept: (socket: Socket) => boolean
  /** Connections beyond this many are closed by Node, before it makes a socket of them. `Infinity` for no limit. */
  readonly most: number
  readonly audit: LimitAudit
}

/** Called once, before the server listens and after everything else that wants to hear of its connections. */
export function guardServer(server: Server, { accept, most, audit }: Guard): void {
  putBefore(server, accept)
  server.prependListener('secureConnection', passOn)
  if (most !== Infinity) server.maxConnections = most
  server.on('drop', (dropped?: DropArgument) => {
    audit.reached('connections', sourceOf(dropped?.remoteAddress ?? 'unknown'))
  })
  // Before whoever answers these errors: of a connection that is gone nobody can say where it came from.
  server.prependListener('clientError', (error, socket) => {
    if (errorCode(error) === 'ERR_HTTP_REQUEST_TIMEOUT') audit.reached('header-time', sourceBehind(socket))
  })
  server.prependListener('tlsClientError', (error, socket) => {
    if (errorCode(error) === 'ERR_TLS_HANDSHAKE_TIMEOUT') {
      audit.reached('handshake-time', sourceBehind(socket))
    }
  })
  // Node closes connections that there is no descriptor for, and says nothing. Where even that fails the error comes
  // here; with nobody to take it, it would end the process. One from before the server listens is for whoever binds it.
  server.on('error', (error) => {
    if (server.listening) audit.reached('file-descriptors', errorCode(error) ?? 'unknown')
  })
}

// Node's TLS layer is a listener like any other. Behind ours, it prepares nothing for a connection that is refused.
function putBefore(server: Server, accept: (socket: Socket) => boolean): void {
  const behind = server.listeners('connection')
  server.removeAllListeners('connection')
  server.on('connection', (socket: Socket) => {
    if (!accept(socket)) return
    for (const listener of behind) Reflect.apply(listener, server, [socket])
  })
}

function sourceBehind(socket: object): string {
  const { remoteAddress } = socket as Partial<Socket>
  return sourceOf(remoteAddress ?? 'unknown')
}
