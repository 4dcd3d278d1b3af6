// The TLS listener: protocol versions and suites, limits and timeouts, and the swap of what it serves.

import { constants } from 'node:crypto'
import type { RequestListener, ServerResponse } from 'node:http'
import { createServer, type Server, type ServerOptions } from 'node:https'
import type { Duplex } from 'node:stream'
import { errorCode } from '../errors.ts'
import { bind, type BoundAddress } from './bind.ts'
import { formatRefusal, refusal, type Refusal } from './registry-error.ts'

/** Certificate chain and key as PEM texts. */
export interface ServedCertificate {
  readonly certPem: string
  readonly keyPem: string
}

export interface Listener {
  readonly address: BoundAddress
  /** New connections get this certificate; running ones keep theirs. */
  serve(certificate: ServedCertificate): void
  /** Takes no more connections; resolves when the last one is closed. */
  close(): Promise<void>
  closeIdleConnections(): void
  closeAllConnections(): void
}

// AEAD with forward secrecy only; ECDSA first, for that is what we issue. Old dockers speak TLS 1.2.
const CIPHERS = [
  'TLS_AES_128_GCM_SHA256',
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305',
].join(':')

// A client may not renegotiate: on TLS 1.2 each attempt would cost us a handshake and the attacker nearly nothing.
const SECURE_OPTIONS = constants.SSL_OP_NO_RENEGOTIATION | constants.SSL_OP_NO_COMPRESSION

const HANDSHAKE_TIMEOUT_MS = 10_000
const HEADERS_TIMEOUT_MS = 60_000

// Longer than any client keeps an idle connection (buildkit: 120 s). Were we to close first, a request that is just
// going out would be lost.
const KEEP_ALIVE_TIMEOUT_MS = 180_000

export interface ListenerOptions {
  readonly certificate: ServedCertificate
  readonly handler: RequestListener
  readonly host: string | undefined
  readonly port: number
}

/** Binds and starts to accept. Rejects with a CommandError that names the mend when it cannot. */
export async function createListener({
  certificate,
  handler,
  host,
  port,
}: ListenerOptions): Promise<Listener> {
  const server = createServer({ ...tlsOptions(certificate), ...httpOptions() }, handler)
  server.timeout = 0
  // Node would drop what comes after this many headers, also a Content-Length: the request would go on without it and
  // its body would be the upstream's next request. No limit here; the head's size is limited, and admit counts.
  server.maxHeadersCount = 0
  server.on('clientError', (error, socket) => {
    answerUnparsable(error, socket as ParsedSocket)
  })
  server.on('tlsClientError', (error, socket) => {
    if (errorCode(error) === 'ERR_SSL_HTTP_REQUEST') answerPlainHttp(socket)
    else socket.destroy()
  })
  // Both must reach the pipeline: only after authentication do we tell a client to send its body.
  server.on('checkContinue', handler)
  server.on('checkExpectation', handler)
  const address = await bind(server, { host, port, setting: 'SIDECAR_LISTEN' })
  return {
    address,
    serve: (next) => {
      server.setSecureContext(tlsOptions(next))
    },
    close: () => closeServer(server),
    closeIdleConnections: () => {
      server.closeIdleConnections()
    },
    closeAllConnections: () => {
      server.closeAllConnections()
    },
  }
}

function tlsOptions({ certPem, keyPem }: ServedCertificate): ServerOptions {
  return {
    cert: certPem,
    key: keyPem,
    minVersion: 'TLSv1.2',
    ciphers: CIPHERS,
    honorCipherOrder: true,
    secureOptions: SECURE_OPTIONS,
  }
}

function httpOptions(): ServerOptions {
  return {
    // HTTP/2's flow control slows pushes, and clients that could use it are content without.
    ALPNProtocols: ['http/1.1'],
    handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
    headersTimeout: HEADERS_TIMEOUT_MS,
    // Counts the whole request, so any limit is too short for some push; idle ones are ended by the watchdog.
    requestTimeout: 0,
    keepAliveTimeout: KEEP_ALIVE_TIMEOUT_MS,
    noDelay: true,
    // Refused by the pipeline, in the registry's form.
    requireHostHeader: false,
  }
}

function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => {
      resolve()
    })
  })
}

// What Node's parser refuses may have no request object: the answer is written by hand.
function answerUnparsable(error: Error, socket: ParsedSocket): void {
  if (errorCode(error) === 'ECONNRESET' || !socket.writable) {
    socket.destroy()
    return
  }
  // A body that turns malformed while its request is being answered must not get a second answer.
  if (socket._httpMessage?.headersSent === true) socket.destroySoon()
  else socket.end(formatRefusal(refusalOf(error)), () => socket.destroy())
}

// Node's name for the answer that a connection is working on; its own default handler looks there too.
type ParsedSocket = Duplex & { readonly _httpMessage?: ServerResponse | null; destroySoon(): void }

// Somebody wrote http:// where https:// belongs. The TLS layer has given up by then; the connection below it, which
// Node keeps under this name, can still carry a sentence.
function answerPlainHttp(socket: Duplex & { readonly _parent?: Duplex | null }): void {
  const connection = socket._parent
  if (connection?.writable !== true) {
    socket.destroy()
    return
  }
  connection.on('error', () => connection.destroy())
  connection.end(formatRefusal(refusal('badRequest', 'this port speaks HTTPS: write https://')))
}

function refusalOf(error: Error): Refusal {
  switch (errorCode(error)) {
    case 'HPE_HEADER_OVERFLOW':
      return refusal('headTooLarge', 'the request head is too large')
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return refusal('tooSlow', 'the request head came too slowly')
    default:
      return refusal('badRequest', 'malformed request')
  }
}
