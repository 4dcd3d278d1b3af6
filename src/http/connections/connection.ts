// Keeps all that is true of one client connection.

import type { ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import type { PacedConnection } from '../../auth/pace.ts'
import { clientAddressOf, sourceOf, withoutMapping } from '../client-address.ts'
import type { RequestFacts, Transfer } from '../request-facts.ts'
import type { CertificateVerdict } from './certificate-verdict.ts'

export interface Connection {
  /** The client's address when TCP accepted the connection; a closed socket has none. */
  readonly address: string
  /** The address's source, the unit of all limits. */
  readonly source: string
  /** The address of this machine that the client connected to. */
  readonly localAddress: string
  readonly tcp: Socket
  /** The TLS socket, which requests arrive on. Undefined until the handshake has ended. */
  tls: TLSSocket | undefined
  /** `performance.now()` when the handshake ended. */
  secureSince: number
  /** The client CAs that judge this handshake. */
  readonly clientCas: ClientCaGeneration
  /** The verdict on the client's certificate; undefined until the first request needs it. */
  certificate: CertificateVerdict | undefined
  /** Answers in flight, oldest first, with those that wait for their turn. */
  readonly answers: Map<ServerResponse, Answer>
  readonly turns: Turns
  /** Requests so far. */
  requests: number
  /** Bytes of the requests that have ended. */
  charged: Bytes
  /** The pace of this connection's logins; undefined until the first login. */
  paced: PacedConnection | undefined
  /** The last Host header, so that each one is reported once. */
  host: string | undefined
  /** The client sent bytes that are no request, and the end of the connection is on its way. */
  isEnding: boolean
}

/** The time from one change of the client CAs to the next. */
export interface ClientCaGeneration {
  isReplaced: boolean
}

/** An answer in flight, and what is known of its request. */
export interface Answer {
  readonly connection: Connection
  readonly outgoing: ServerResponse
  /** Undefined until the pipeline begins with the request. */
  facts: RequestFacts | undefined
  /** Undefined until a verified user's request is admitted. */
  transfer: Transfer | undefined
}

/** The order of pipelined requests. */
export interface Turns {
  /** The answer that the next request waits for. */
  current: ServerResponse | undefined
  /** Begins the requests that wait, oldest first. */
  readonly waiting: (() => void)[]
  /** Requests ignored since one was over the limit; undefined before that. */
  ignored: number | undefined
}

export interface Bytes {
  readonly received: number
  readonly sent: number
}

const CONNECTION = Symbol('connection')

type WithConnection = Socket & { [CONNECTION]?: Connection }

/** A TLS socket with Node's private name for the TCP socket below it. */
type OnTcp = TLSSocket & { readonly _parent?: WithConnection | null }

/** Starts the record of a TCP connection. Undefined if the client has closed it already. */
export function openConnection(tcp: WithConnection, clientCas: ClientCaGeneration): Connection | undefined {
  const address = clientAddressOf(tcp)
  if (address === undefined) return undefined
  const connection: Connection = {
    address,
    source: sourceOf(address),
    localAddress: withoutMapping(tcp.localAddress ?? ''),
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

/** Finds the connection below a TLS socket, also below one whose handshake failed. Undefined only if Node changed. */
export function attachTls(tls: OnTcp & WithConnection): Connection | undefined {
  const connection = tls._parent?.[CONNECTION]
  if (connection === undefined) return undefined
  tls[CONNECTION] = connection
  connection.tls = tls
  connection.secureSince = performance.now()
  return connection
}

/** The connection of a request's socket. */
export function connectionOf(socket: WithConnection): Connection {
  const connection = socket[CONNECTION]
  // Impossible: accept.ts lets no socket reach Node's HTTP server without a record.
  if (connection === undefined) throw new Error('a request came on an unknown connection')
  return connection
}

/**
 * Throws unless a TLS socket leads to its TCP socket on this Node. Threat: limits and client-CA changes find a
 * connection through that private property.
 */
export function checkTlsLeadsToTcp(
  secure: (tcp: Socket) => TLSSocket = (tcp) => new TLSSocket(tcp, { isServer: true }),
): void {
  const tcp = new Socket()
  const tls: OnTcp = secure(tcp)
  const leads = tls._parent === tcp
  tls.destroy()
  tcp.destroy()
  if (!leads) {
    throw new Error('this Node does not lead from TLS sockets to their TCP sockets; use Node 20, 22 or 24')
  }
}
