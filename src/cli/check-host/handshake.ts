// Makes TLS handshakes that read or verify a server's chain.
//
// Node does not show a certificate that it rejects, so `inspectChain` alone connects without verification;
// architecture.test.ts forbids that anywhere else. Threat: an impostor answers. So the unverified connection sends one
// request without credentials, nothing in its answer is trusted, and statements about trust come from `verifyChain`.

import { X509Certificate } from 'node:crypto'
import { connect, type ConnectionOptions, type DetailedPeerCertificate, type TLSSocket } from 'node:tls'
import { errorCode, errorMessage } from '../../errors/errors.ts'
import type { SubjectAltName } from '../../pki/names.ts'
import type { Endpoint } from './reach.ts'

export interface HandshakeTarget {
  readonly endpoint: Endpoint
  /** The name by which the client calls the server. */
  readonly name: SubjectAltName
  readonly timeoutMs: number
}

export type HandshakeOutcome =
  | { readonly kind: 'done'; readonly protocol: string; readonly chain: readonly X509Certificate[] }
  /** `code` is Node's error code, for example `ERR_SSL_WRONG_VERSION_NUMBER`, or the message if there is no code. */
  | { readonly kind: 'failed'; readonly code: string }
  | { readonly kind: 'timeout' }

export type FailedHandshake = Exclude<HandshakeOutcome, { readonly kind: 'done' }>

/** Reads the chain as the server sends it, leaf first. `useSocket` must destroy the socket; by default it does only that. */
export function inspectChain(
  target: HandshakeTarget,
  useSocket: (socket: TLSSocket) => void = destroy,
): Promise<HandshakeOutcome> {
  // We give Node no roots, so it cannot add a root to the chain that the server sent.
  return shakeHands(target, { ca: [], rejectUnauthorized: false }, (socket) => {
    useSocket(socket)
    return { kind: 'done', protocol: socket.getProtocol() ?? 'unknown', chain: chainOf(socket) }
  })
}

/**
 * Verifies with these roots only. Resolves to undefined if the chain is valid; otherwise to the error code such as
 * `CERT_HAS_EXPIRED`, or the error message, or `no answer in time`.
 */
export async function verifyChain(
  target: HandshakeTarget,
  roots: readonly string[],
): Promise<string | undefined> {
  const outcome = await shakeHands(target, { ca: [...roots] }, (socket) => {
    destroy(socket)
    return { kind: 'verified' as const }
  })
  if (outcome.kind === 'verified') return undefined
  return outcome.kind === 'failed' ? outcome.code : 'no answer in time'
}

function shakeHands<T>(
  { endpoint, name, timeoutMs }: HandshakeTarget,
  options: ConnectionOptions,
  onSecure: (socket: TLSSocket) => T,
): Promise<T | FailedHandshake> {
  return new Promise((resolve) => {
    const socket = connect({
      ...options,
      host: endpoint.address,
      port: endpoint.port,
      // A client that dials an address sends no name (RFC 6066 §3).
      ...(name.type === 'dns' ? { servername: name.value } : {}),
      // Same as clients written in Go: at least TLS 1.2; the chain may end at any trusted certificate, also at an
      // intermediate.
      minVersion: 'TLSv1.2',
      allowPartialTrustChain: true,
      ALPNProtocols: ['http/1.1'],
      // explain-certificate.ts compares the names, to report them apart from the chain.
      checkServerIdentity: () => undefined,
    })
    const timer = setTimeout(() => {
      socket.destroy()
      resolve({ kind: 'timeout' })
    }, timeoutMs)
    socket.once('close', () => {
      clearTimeout(timer)
    })
    socket.on('error', (error) => {
      resolve({ kind: 'failed', code: errorCode(error) ?? errorMessage(error) })
    })
    socket.once('secureConnect', () => {
      clearTimeout(timer)
      resolve(onSecure(socket))
    })
  })
}

function destroy(socket: TLSSocket): void {
  socket.destroy()
}

function chainOf(socket: TLSSocket): readonly X509Certificate[] {
  const chain: X509Certificate[] = []
  const seen = new Set<string>()
  // Without a certificate, Node returns an empty object.
  let next: Partial<DetailedPeerCertificate> | undefined = socket.getPeerCertificate(true)
  while (next?.raw !== undefined && !seen.has(next.fingerprint256 ?? '')) {
    seen.add(next.fingerprint256 ?? '')
    chain.push(new X509Certificate(next.raw))
    next = next.issuerCertificate
  }
  return chain
}
