// Runs the TLS listener: timeouts, ticket keys, and replaceable certificates.

import { randomBytes } from 'node:crypto'
import type { RequestListener } from 'node:http'
import { createServer, type Server, type ServerOptions } from 'node:https'
import { bind, type BoundAddress } from '../bind.ts'
import type { Limits } from '../limits.ts'
import { MAX_HEAD_BYTES } from '../pipeline/admit.ts'
import type { Proxies } from './accept-tcp.ts'
import { handleConnections } from './accept.ts'
import { createClientCaGenerations } from './client-ca-change.ts'
import { announceEnd, checkTlsLeadsToTcp, type Connection } from './connection.ts'
import type { RequestedNames } from './requested-names.ts'
import { firstRequestsAnswered, stopAccepting } from './stop-accepting.ts'
import {
  clientCertificateOptions,
  tlsOptions,
  type ServedCertificate,
  type HandshakeFiles,
} from './tls-policy.ts'

export interface Listener {
  readonly address: BoundAddress
  serve(certificate: ServedCertificate): void
  /** Ends earlier connections after their answers. Call it only if the listener was created with client CAs. */
  accept(clientCaPem: string): void
  /** Makes the answers in flight announce the end of their connections. */
  announceEnd(): void
  stopAccepting(): Promise<void>
  /** Resolves when each connection has had a request and its answer, or after 3 s. */
  firstRequestsAnswered(): Promise<void>
  close(): Promise<void>
}

// Threat: anyone who steals the ticket keys can decrypt recorded traffic. So they stay in memory for one hour.
export const TICKET_KEYS_LIFE_MS = 3_600_000
const TICKET_KEYS_BYTES = 48

// Node's default of 30 s would turn a limit of 60 s into up to 90 s.
const LATE_HEADS_CHECK_MS = 1_000

// No client keeps an idle connection longer (buildkit: 120 s). If the sidecar closed first, a request could be lost.
const KEEP_ALIVE_TIMEOUT_MS = 180_000

const NOT_SHARED =
  'another process uses this port alone; run it as the same user and with SIDECAR_REUSE_PORT=true'

export interface ListenerOptions {
  readonly certificate: ServedCertificate
  readonly handler: RequestListener
  readonly host: string | undefined
  readonly port: number
  readonly reusePort: boolean
  /** Does not apply while the pipeline or the registry works on a request. */
  readonly idleTimeoutMs: number
  readonly requestedNames: RequestedNames
  readonly limits: Limits
  readonly proxies: Proxies
  /** PEM. Undefined: no client certificates are requested. */
  readonly clientCaPem: string | undefined
  readonly ticketKeysLifeMs: number
}

export async function createListener({
  handler,
  idleTimeoutMs,
  requestedNames,
  limits,
  proxies,
  ticketKeysLifeMs,
  ...options
}: ListenerOptions): Promise<Listener> {
  checkTlsLeadsToTcp()
  let files: HandshakeFiles = { certificate: options.certificate, clientCaPem: options.clientCaPem }
  const server = createServer({
    ...tlsOptions(files),
    ...clientCertificateOptions(files),
    ...httpOptions(limits),
  })
  const clientCas = createClientCaGenerations()
  const connections = limits.connections.table
  handleConnections(server, { limits, clientCas, proxies, requestedNames })
  handleRequests(server, { handler, idleTimeoutMs })
  const address = await bind(server, {
    ...options,
    setting: 'SIDECAR_LISTEN',
    whenTaken: options.reusePort ? NOT_SHARED : undefined,
  })
  const rotation = setInterval(() => {
    server.setTicketKeys(randomBytes(TICKET_KEYS_BYTES))
  }, ticketKeysLifeMs)

  // The new context has new ticket keys, so no old ticket brings back the previous certificate or client CAs.
  function use(next: HandshakeFiles): void {
    server.setSecureContext(tlsOptions(next))
    files = next
  }

  return {
    address,
    serve: (certificate) => {
      use({ ...files, certificate })
    },
    accept: (clientCaPem) => {
      // This comes first, so that clients of a removed CA are refused even if the server rejects the new CAs.
      clientCas.revokeCurrent()
      use({ ...files, clientCaPem })
      clientCas.clientCaChanged(connections.all)
    },
    announceEnd: () => {
      for (const connection of connections.all) announceEnd(connection)
    },
    stopAccepting: () => stopAccepting(server),
    firstRequestsAnswered: () => firstRequestsAnswered(connections.all),
    close: () => {
      clearInterval(rotation)
      return closeServer(server, connections.all)
    },
  }
}

function handleRequests(
  server: Server,
  { handler, idleTimeoutMs }: Pick<ListenerOptions, 'handler' | 'idleTimeoutMs'>,
): void {
  server.on('request', handler)
  // The pipeline decides first, because only a verified client may send its body.
  server.on('checkContinue', handler)
  server.on('checkExpectation', handler)
  // A client that does not read the sidecar's own answers must not hold its connection.
  server.timeout = idleTimeoutMs
  // Threat: Node drops headers beyond a limit, even Content-Length. Then it parses the body as the next request.
  server.maxHeadersCount = 0
}

function httpOptions({ handshakeTimeoutMs, headerTimeoutMs }: Limits): ServerOptions {
  return {
    // HTTP/2's flow control slows pushes, and clients that could use it accept HTTP/1.1.
    ALPNProtocols: ['http/1.1'],
    // These timeouts do not start again with each byte, so they also end slow senders.
    handshakeTimeout: handshakeTimeoutMs,
    headersTimeout: headerTimeoutMs,
    connectionsCheckingInterval: Math.min(LATE_HEADS_CHECK_MS, headerTimeoutMs),
    // Any limit for the whole request is too short for some push. The upstream's watchdog ends idle pushes.
    requestTimeout: 0,
    maxHeaderSize: MAX_HEAD_BYTES,
    keepAliveTimeout: KEEP_ALIVE_TIMEOUT_MS,
    noDelay: true,
    // Explicit, because NODE_OPTIONS may contain `--insecure-http-parser`.
    insecureHTTPParser: false,
    // The pipeline refuses a missing Host, with an answer in the registry's form.
    requireHostHeader: false,
  }
}

function closeServer(server: Server, connections: Iterable<Connection>): Promise<void> {
  return new Promise((resolve) => {
    // Node reports an error if the server has stopped accepting already. This error does not matter.
    server.close(() => {
      resolve()
    })
    for (const { tls: secure, tcp } of connections) {
      secure?.destroy()
      tcp.destroy()
    }
  })
}
