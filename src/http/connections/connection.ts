// Keeps the facts about one client connection.

import type { ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import type { PacedConnection } from '../../auth/pace.ts'
import { clientAddressOf, sourceOf, withoutMapping, type Client, type IsProxy } from '../client-address.ts'
import type { Bytes, RequestFacts, Transfer } from '../request-facts.ts'
import type { CertificateVerdict } from './certificate-verdict.ts'

/** The address is stored, because a closed socket has no address. */
export interface Connection extends Client {
  /** The address that the client connected to. */
  readonly localAddress: string
  /** The other side is a trusted proxy, so the connection may carry requests of many clients. */
  readonly isProxy: boolean
  readonly tcp: Socket
  tls: TLSSocket | undefined
  /** `performance.now()` when the handshake ended. */
  secureSince: number
  readonly clientCas: ClientCaGeneration
  certificate: CertificateVerdict | undefined
  /** Oldest first, including answers that wait for their turn. */
  readonly answers: Map<ServerResponse, Answer>
  readonly turns: Turns
  requests: number
  /** Bytes of finished requests. */
  charged: Bytes
  /** Paces the source of the latest login. */
  paced: PacedConnection | undefined
  /** The last Host header that was reported. */
  host: string | undefined
  /** True after the client sent bytes that are not a request. */
  isEnding: boolean
}

export interface ClientCaGeneration {
  isReplaced: boolean
}

export interface Answer {
  readonly connection: Connection
  readonly outgoing: ServerResponse
  facts: RequestFacts | undefined
  transfer: Transfer | undefined
}

export interface Turns {
  current: ServerResponse | undefined
  readonly waiting: (() => void)[]
  ignored: number | undefined
}

const CONNECTION = Symbol('connection')

type WithConnection = Socket & { [CONNECTION]?: Connection }

/** `_parent` is Node's private name for the TCP socket below TLS. */
type OnTcp = TLSSocket & { readonly _parent?: WithConnection | null }

export interface Endpoints {
  readonly address: string
  readonly localAddress: string
}

export interface OpenConnectionOptions {
  readonly clientCas: ClientCaGeneration
  readonly isProxy: IsProxy
  /** From a PROXY protocol header. */
  readonly endpoints?: Endpoints
}

/** Replaces an earlier record of the socket. Undefined if the socket is closed. */
export function openConnection(
  tcp: WithConnection,
  { clientCas, isProxy: isProxyAddress, endpoints = endpointsOf(tcp) }: OpenConnectionOptions,
): Connection | undefined {
  if (endpoints === undefined) return undefined
  const { address, localAddress } = endpoints
  const isProxy = isProxyAddress(address)
  const connection: Connection = {
    address,
    // A proxy shares no limit with its neighbors in a /64.
    source: isProxy ? address : sourceOf(address),
    localAddress,
    isProxy,
    tcp,
    tls: undefined,
    secureSince: 0,
    clientCas,
    certificate: undefined,
    answers: new Map(),
    turns: { current: undefined, waiting: [], ignored: undefined },
    requests: 0,
    charged: { received: 0, sent: 0 },
    paced: undefined,
    host: undefined,
    isEnding: false,
  }
  tcp[CONNECTION] = connection
  return connection
}

function endpointsOf(tcp: Socket): Endpoints | undefined {
  const address = clientAddressOf(tcp)
  return address === undefined ? undefined : { address, localAddress: withoutMapping(tcp.localAddress ?? '') }
}

/** Works after a failed handshake too. Undefined only if the internals of Node changed. */
export function attachTls(tls: OnTcp & WithConnection): Connection | undefined {
  const connection = tls._parent?.[CONNECTION]
  if (connection === undefined) return undefined
  tls[CONNECTION] = connection
  connection.tls = tls
  connection.secureSince = performance.now()
  return connection
}

export function connectionOf(socket: WithConnection): Connection {
  const connection = socket[CONNECTION]
  // accept.ts destroys a socket without a record before Node's HTTP server gets it.
  if (connection === undefined) throw new Error('a request arrived on an unknown connection')
  return connection
}

/** Counts bytes inside TLS since the end of the last request. */
export function unchargedBytes({ charged, tls }: Pick<Connection, 'charged' | 'tls'>): Bytes {
  return {
    received: (tls?.bytesRead ?? 0) - charged.received,
    sent: (tls?.bytesWritten ?? 0) - charged.sent,
  }
}

/** Returns the bytes of a finished request, and starts the count again. */
export function chargeBytes(connection: Connection): Bytes {
  const bytes = unchargedBytes(connection)
  const { received, sent } = connection.charged
  connection.charged = { received: received + bytes.received, sent: sent + bytes.sent }
  return bytes
}

/** Throws if Node lacks `_parent`. Threat: without it, limits and client-CA changes would not apply. */
export function checkTlsLeadsToTcp(
  secure: (tcp: Socket) => TLSSocket = (tcp) => new TLSSocket(tcp, { isServer: true }),
): void {
  const tcp = new Socket()
  const tls: OnTcp = secure(tcp)
  const isFound = tls._parent === tcp
  tls.destroy()
  tcp.destroy()
  if (!isFound) {
    throw new Error('this version of Node hides the TCP socket of a TLS socket; use Node 20, 22 or 24')
  }
}

/** Makes answers in flight announce the end of the connection. Otherwise the next request on it would be lost. */
export function announceEnd({ answers }: Connection): void {
  for (const outgoing of answers.keys()) {
    if (!outgoing.headersSent) outgoing.shouldKeepAlive = false
  }
}
