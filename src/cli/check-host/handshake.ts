// Makes TLS handshakes that read or verify a server's chain.
//
// Node hides a certificate that it rejects, so only `inspectChain` connects without verification.
// Threat: an impostor answers. So that connection sends no credentials, and nothing trusts the answer.
// Only `verifyChain` decides about trust. architecture.test.ts forbids unverified connections elsewhere.

import { X509Certificate } from 'node:crypto'
import { connect, type ConnectionOptions, type DetailedPeerCertificate, type TLSSocket } from 'node:tls'
import { errorCode, errorMessage } from '../../errors/errors.ts'
import type { SubjectAltName } from '../../pki/names.ts'
import type { Endpoint } from './reach.ts'

export interface HandshakeTarget {
  readonly endpoint: Endpoint
  readonly name: SubjectAltName
  readonly timeoutMs: number
}

export type HandshakeOutcome =
  | { readonly kind: 'done'; readonly protocol: string; readonly chain: readonly X509Certificate[] }
  /** `code` is Node's error code, or the message if there is no code. */
  | { readonly kind: 'failed'; readonly code: string }
  | { readonly kind: 'timeout' }

export type FailedHandshake = Exclude<HandshakeOutcome, { readonly kind: 'done' }>

/** The chain is as the server sends it, leaf first. `useSocket` must destroy the socket. */
export function inspectChain(
  target: HandshakeTarget,
  useSocket: (socket: TLSSocket) => void = destroy,
): Promise<HandshakeOutcome> {
  // Without roots, Node cannot add a root to the chain that the server sent.
  return shakeHands(target, { ca: [], rejectUnauthorized: false }, (socket) => {
    // A destroyed socket has no certificate.
    const outcome = {
      kind: 'done',
      protocol: socket.getProtocol() ?? 'unknown',
      chain: chainOf(socket),
    } as const
    useSocket(socket)
    return outcome
  })
}

/** Trusts only these roots. Resolves to undefined for a valid chain, else to Node's error code or a reason. */
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
      minVersion: 'TLSv1.2',
      // As in Go's clients, the chain may end at any trusted certificate, even an intermediate.
      allowPartialTrustChain: true,
      ALPNProtocols: ['http/1.1'],
      // explain-certificate.ts checks the names and reports them separately.
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
