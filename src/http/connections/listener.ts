// The TLS listener: limits and timeouts, ticket keys, and the swap of what it serves.

import { randomBytes } from 'node:crypto'
import type { RequestListener } from 'node:http'
import { createServer, type Server, type ServerOptions } from 'node:https'
import type { Socket } from 'node:net'
import tls from 'node:tls'
import { MAX_HEAD_BYTES } from '../pipeline/admit.ts'
import { hearAskedNames, type AskedNames } from './requested-names.ts'
import { bind, type BoundAddress } from '../bind.ts'
import { trackHandshakes } from './handshakes.ts'
import type { Limits } from '../limits.ts'
import { clientCertificateOptions, tlsOptions, type ServedCertificate, type Shown } from './tls-policy.ts'
import { answerWhatCannotBeParsed } from './unparsable-requests.ts'

export interface Listener {
  readonly address: BoundAddress
  /** New connections get this certificate; running ones keep theirs. */
  serve(certificate: ServedCertificate): void
  /**
   * From now on these authorities' client certificates are accepted. Connections of before are ended as soon as they
   * have nothing in flight. Only for a listener that was made with some.
   */
  accept(clientCaPem: string): void
  /** Takes no more connections; those that are there go on. */
  stopAccepting(): void
  /** Ends every connection, also those that have not finished their handshake, and what belongs to the listener. */
  close(): Promise<void>
}

// A session ticket holds the keys of a connection, encrypted with these keys: who gets hold of them later can read what
// was recorded before. So they live shortly, in memory alone.
const TICKET_KEYS_LIFE_MS = 3_600_000
const TICKET_KEYS_BYTES = 48

// How often Node looks for heads that are late, at most. Its own 30 s would make of 60 s up to 90.
const LOOK_FOR_LATE_HEADS_MS = 1_000

// Longer than any client keeps an idle connection (buildkit: 120 s). Were we to close first, a request that is just
// going out would be lost.
const KEEP_ALIVE_TIMEOUT_MS = 180_000

export interface ListenerOptions {
  readonly certificate: ServedCertificate
  readonly handler: RequestListener
  readonly host: string | undefined
  readonly port: number
  /** A connection on which nothing moves for this long is ended, unless its request is with us or the registry (idle.ts). */
  readonly idleTimeoutMs: number
  /** Told what clients call us. */
  readonly askedNames?: AskedNames
  /** Absent: none but Node's. */
  readonly limits?: Limits
  /** Clients are asked for a certificate of these authorities (PEM); what they send is for the handler to judge. */
  readonly clientCaPem?: string | undefined
  readonly ticketKeysLifeMs?: number
}

/** Binds and starts to accept. Rejects with a CommandError that names the fix when it cannot. */
export async function createListener({
  handler: answer,
  idleTimeoutMs,
  askedNames,
  limits,
  ticketKeysLifeMs = TICKET_KEYS_LIFE_MS,
  ...options
}: ListenerOptions): Promise<Listener> {
  let shown: Shown = { certificate: options.certificate, clientCaPem: options.clientCaPem }
  const server = createServer({
    ...tlsOptions(shown),
    ...clientCertificateOptions(shown),
    ...httpOptions(limits),
  })
  const handshakes = shown.clientCaPem === undefined ? undefined : trackHandshakes(server)
  const handler = handshakes?.watch(answer) ?? answer
  server.on('request', handler)
  // For the answers that are ours: a client that reads none of them must not hold its connection for ever.
  server.timeout = idleTimeoutMs
  // Node would drop what comes after this many headers, also a Content-Length: the request would go on without it and
  // its body would be the upstream's next request. No limit here; the head's size is limited, and admit counts.
  server.maxHeadersCount = 0
  // First: whatever answers a failed handshake ends the connection.
  if (askedNames !== undefined) hearAskedNames(server, askedNames)
  answerWhatCannotBeParsed(server)
  // Both must reach the pipeline: only after authentication do we tell a client to send its body.
  server.on('checkContinue', handler)
  server.on('checkExpectation', handler)
  const connections = trackConnections(server)
  // Last, so that all the others are behind it.
  limits?.connections.guard(server)
  const address = await bind(server, { ...options, setting: 'SIDECAR_LISTEN' })
  const rotation = setInterval(() => {
    server.setTicketKeys(randomBytes(TICKET_KEYS_BYTES))
  }, ticketKeysLifeMs)

  // The new context has ticket keys of its own: no ticket of before brings back what was shown or accepted then.
  function show(next: Shown): void {
    server.setSecureContext(tlsOptions(next))
    shown = next
  }

  return {
    address,
    serve: (certificate) => {
      show({ ...shown, certificate })
    },
    accept: (clientCaPem) => {
      show({ ...shown, clientCaPem })
      handshakes?.beginAnew()
    },
    stopAccepting: () => {
      // Not Node's own close(): it also ends connections whose answer is written but not yet sent, and so cuts the
      // last bytes that a slow client is still to get.
      tls.Server.prototype.close.call(server)
    },
    close: () => {
      clearInterval(rotation)
      return closeServer(server, connections)
    },
  }
}

function httpOptions(limits: Limits | undefined): ServerOptions {
  return {
    // HTTP/2's flow control slows pushes, and clients that could use it are content without.
    ALPNProtocols: ['http/1.1'],
    // Both end also what trickles: neither begins anew with each byte.
    ...(limits === undefined ? {} : timesOf(limits)),
    // Counts the whole request, so any limit is too short for some push; idle ones are ended by the watchdog.
    requestTimeout: 0,
    maxHeaderSize: MAX_HEAD_BYTES,
    keepAliveTimeout: KEEP_ALIVE_TIMEOUT_MS,
    noDelay: true,
    // Said aloud, so that `--insecure-http-parser` in somebody's NODE_OPTIONS cannot make it lenient.
    insecureHTTPParser: false,
    // Refused by the pipeline, in the registry's form.
    requireHostHeader: false,
  }
}

function timesOf({ handshakeTimeoutMs, headerTimeoutMs }: Limits): ServerOptions {
  return {
    handshakeTimeout: handshakeTimeoutMs,
    headersTimeout: headerTimeoutMs,
    connectionsCheckingInterval: Math.min(LOOK_FOR_LATE_HEADS_MS, headerTimeoutMs),
  }
}

function trackConnections(server: Server): ReadonlySet<Socket> {
  const connections = new Set<Socket>()
  const track = (socket: Socket): void => {
    connections.add(socket)
    socket.once('close', () => connections.delete(socket))
  }
  // Both: a TCP connection whose handshake never comes has no TLS one.
  server.on('connection', track)
  server.on('secureConnection', track)
  return connections
}

function closeServer(server: Server, connections: ReadonlySet<Socket>): Promise<void> {
  return new Promise((resolve) => {
    // Called back with an error when it accepts no more already; then it has closed, or does so with its connections.
    server.close(() => {
      resolve()
    })
    for (const socket of connections) socket.destroy()
  })
}
