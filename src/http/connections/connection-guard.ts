// Puts the connection limits before everything else that Node's server does.

import type { Socket } from 'node:net'
import type { Server } from 'node:https'
import { sourceOf } from '../client-address.ts'
import { errorCode } from '../../errors/errors.ts'
import { passOn } from './connection.ts'
import type { LimitAudit } from '../limit-audit.ts'

export interface Guard {
  /** False: the socket is destroyed, and no other listener sees it. */
  readonly accept: (socket: Socket) => boolean
  readonly audit: LimitAudit
}

/** Called once, before the server listens and after every other listener of its connections was added. */
export function guardServer(server: Server, { accept, audit }: Guard): void {
  putBefore(server, accept)
  server.prependListener('secureConnection', passOn)
  // Before the listeners that answer these errors: a closed connection has no address any more.
  server.prependListener('clientError', (error, socket) => {
    if (errorCode(error) === 'ERR_HTTP_REQUEST_TIMEOUT') audit.reached('header-time', sourceBehind(socket))
  })
  server.prependListener('tlsClientError', (error, socket) => {
    if (errorCode(error) === 'ERR_TLS_HANDSHAKE_TIMEOUT') {
      audit.reached('handshake-time', sourceBehind(socket))
    }
  })
  // Node silently closes connections that there is no descriptor for. Where even that fails the error comes here;
  // without a listener it would end the process. An error before the server listens belongs to `bind`.
  server.on('error', (error) => {
    if (server.listening) audit.reached('file-descriptors', errorCode(error) ?? 'unknown')
  })
}

// Node's TLS layer is a listener like any other. Behind ours, it prepares nothing for a refused connection.
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
