// Runs the TLS listener: timeouts, ticket keys, and replaceable certificates.

import { randomBytes } from 'node:crypto'
import type { RequestListener } from 'node:http'
import { createServer, type Server, type ServerOptions } from 'node:https'
import tls from 'node:tls'
import { bind, type BoundAddress } from '../bind.ts'
import type { Limits } from '../limits.ts'
import { MAX_HEAD_BYTES } from '../pipeline/admit.ts'
import { handleConnections } from './accept.ts'
import { createClientCaGenerations } from './client-ca-change.ts'
import { checkTlsLeadsToTcp, type Connection } from './connection.ts'
import type { AskedNames } from './requested-names.ts'
import {
  clientCertificateOptions,
  tlsOptions,
  type ServedCertificate,
  type HandshakeFiles,
} from './tls-policy.ts'

export interface Listener {
  readonly address: BoundAddress
  /** Uses this certificate for new connections; open ones keep theirs. */
  serve(certificate: ServedCertificate): void
  /**
   * Accepts client certificates of these CAs from now on. Ends earlier connections once they have nothing in flight.
   * Only for a listener that was created with client CAs.
   */
  accept(clientCaPem: string): void
  /** Accepts no more connections; open ones stay. */
  stopAccepting(): void
  /** Ends every connection, even during its handshake, and frees all that belongs to the listener. */
  close(): Promise<void>
}

// A session ticket contains the keys of a connection, encrypted with the ticket keys. Threat: anyone who steals them can
// decrypt recorded traffic. So they stay in memory and are replaced hourly.
export const TICKET_KEYS_LIFE_MS = 3_600_000
const TICKET_KEYS_BYTES = 48

// The longest time between two of Node's checks for late heads. Its default of 30 s would turn 60 s into up to 90.
const LATE_HEADS_CHECK_MS = 1_000

// Longer than any client keeps an idle connection (buildkit: 120 s). If the sidecar closed first, a request that the
// client is sending would be lost.
const KEEP_ALIVE_TIMEOUT_MS = 180_000

export interface ListenerOptions {
  readonly certificate: ServedCertificate
  readonly handler: RequestListener
  readonly host: string | undefined
  readonly port: number
  /** Ends a connection on which nothing moves for this long, unless its request is with the pipeline or the registry. */
  readonly idleTimeoutMs: number
  /** Gets the names that clients use for this server. */
  readonly askedNames: AskedNames
  readonly limits: Limits
  /** Requests client certificates of these CAs (PEM); the pipeline judges them. Undefined: requests none. */
  readonly clientCaPem: string | undefined
  readonly ticketKeysLifeMs: number
}

/** Binds and starts to accept. Rejects with a CommandError that names the fix when it cannot. */
export async function createListener({
  handler,
  idleTimeoutMs,
  askedNames,
  limits,
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
  handleConnections(server, { limits, clientCas, askedNames })
  handleRequests(server, { handler, idleTimeoutMs })
  const address = await bind(server, { ...options, setting: 'SIDECAR_LISTEN' })
  const rotation = setInterval(() => {
    server.setTicketKeys(randomBytes(TICKET_KEYS_BYTES))
  }, ticketKeysLifeMs)

  // The new context has new ticket keys, so no earlier ticket brings back the previous certificate or client CAs.
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
      // First, so that clients of a removed CA are refused even if the server rejects the new ones.
      clientCas.revokeCurrent()
      use({ ...files, clientCaPem })
      clientCas.clientCaChanged(connections.all)
    },
    stopAccepting: () => {
      // Node's own close() also ends connections whose answer is written but not yet sent. A slow client would lose the
      // last bytes.
      tls.Server.prototype.close.call(server)
    },
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
  // Both must reach the pipeline, because only a verified client may send its body.
  server.on('checkContinue', handler)
  server.on('checkExpectation', handler)
  // For answers of the sidecar itself: a client that does not read them must not hold its connection for ever.
  server.timeout = idleTimeoutMs
  // Node would drop headers beyond a limit, even a Content-Length, and forward the request without it. Its body would
  // be the upstream's next request. The head's size is limited instead, and admit counts the headers.
  server.maxHeadersCount = 0
}

function httpOptions({ handshakeTimeoutMs, headerTimeoutMs }: Limits): ServerOptions {
  return {
    // HTTP/2's flow control slows pushes, and clients that could use it accept HTTP/1.1.
    ALPNProtocols: ['http/1.1'],
    // Neither timeout starts again with each byte, so both also end slow senders.
    handshakeTimeout: handshakeTimeoutMs,
    headersTimeout: headerTimeoutMs,
    connectionsCheckingInterval: Math.min(LATE_HEADS_CHECK_MS, headerTimeoutMs),
    // Counts the whole request, so any limit is too short for some push. The upstream's watchdog ends idle ones.
    requestTimeout: 0,
    maxHeaderSize: MAX_HEAD_BYTES,
    keepAliveTimeout: KEEP_ALIVE_TIMEOUT_MS,
    noDelay: true,
    // Explicit, so that `--insecure-http-parser` in NODE_OPTIONS cannot make the parser lenient.
    insecureHTTPParser: false,
    // The pipeline refuses a missing Host in the registry's form.
    requireHostHeader: false,
  }
}

function closeServer(server: Server, connections: Iterable<Connection>): Promise<void> {
  return new Promise((resolve) => {
    // Node calls back with an error if the server has stopped accepting; it is closed then, or closes with its connections.
    server.close(() => {
      resolve()
    })
    for (const { tls: secure, tcp } of connections) {
      secure?.destroy()
      tcp.destroy()
    }
  })
}
