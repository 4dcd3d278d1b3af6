// Handles the events of client connections in a fixed order.

import type { Server } from 'node:https'
import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { errorCode } from '../../errors/errors.ts'
import type { Limits } from '../limits.ts'
import { createTcpAcceptor, type Proxies } from './accept-tcp.ts'
import type { ClientCaGenerations } from './client-ca-change.ts'
import { attachTls, connectionOf } from './connection.ts'
import { reportFailedHandshake, reportServerName, type RequestedNames } from './requested-names.ts'
import { answerFailedHandshake, answerUnparsable } from './unparsable-requests.ts'

export interface AcceptOptions {
  readonly limits: Pick<Limits, 'audit' | 'connections' | 'handshakeTimeoutMs'>
  readonly clientCas: ClientCaGenerations
  readonly proxies: Proxies
  readonly requestedNames: RequestedNames
}

/** Takes over Node's listeners and calls them itself. Call it once, before the server listens. */
export function handleConnections(
  server: Server,
  { limits, clientCas, proxies, requestedNames }: AcceptOptions,
): void {
  const { audit } = limits
  const startTls = takeListeners(server, 'connection')
  const startHttp = takeListeners(server, 'secureConnection')
  // Removed, because Node's listener would emit 'clientError' for the same error.
  takeListeners(server, 'tlsClientError')

  server.on('connection', createTcpAcceptor({ limits, clientCas, proxies }, startTls))

  server.on('secureConnection', (tls) => {
    const connection = attachTls(tls)
    // No limit would apply to a connection without a record.
    if (connection === undefined) {
      tls.destroy()
      return
    }
    reportServerName(connection, requestedNames)
    startHttp(tls)
  })

  server.on('tlsClientError', (error, tls) => {
    const connection = attachTls(tls)
    if (connection === undefined) {
      tls.destroy()
      return
    }
    if (errorCode(error) === 'ERR_TLS_HANDSHAKE_TIMEOUT') audit.reached('handshake-time', connection.source)
    reportFailedHandshake(connection, { error, names: requestedNames })
    answerFailedHandshake(connection, error)
  })

  server.on('clientError', (error: Error, socket: TLSSocket) => {
    const connection = connectionOf(socket)
    if (errorCode(error) === 'ERR_HTTP_REQUEST_TIMEOUT') audit.reached('header-time', connection.source)
    answerUnparsable(connection, { error, socket })
  })

  // Without a listener, a lack of file descriptors could end the process. `bind` handles errors before listening.
  server.on('error', (error) => {
    if (server.listening) audit.reached('file-descriptors', errorCode(error) ?? 'unknown')
  })
}

type SocketOf<Event> = Event extends 'connection' ? Socket : TLSSocket

function takeListeners<Event extends 'connection' | 'secureConnection' | 'tlsClientError'>(
  server: Server,
  event: Event,
): (socket: SocketOf<Event>) => void {
  const listeners = server.listeners(event)
  server.removeAllListeners(event)
  return (socket) => {
    for (const listener of listeners) Reflect.apply(listener, server, [socket])
  }
}
