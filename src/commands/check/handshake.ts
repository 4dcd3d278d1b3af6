// A handshake that looks at a certificate before anybody trusts it, to say what is wrong with it.
//
// Node shows no certificate that it refuses, so the one look here goes without verification, as nothing else does
// (architecture.test.ts sees to it). What is told of trust comes from handshakes that verify. On the connection of the
// look nothing is sent but one question without credentials, and nothing that comes back is believed.

import { X509Certificate } from 'node:crypto'
import { connect, type ConnectionOptions, type DetailedPeerCertificate, type TLSSocket } from 'node:tls'
import { errorCode, errorMessage } from '../../errors.ts'
import type { SubjectAltName } from '../../tls/names.ts'
import type { Place } from './reach.ts'

export interface Handshake {
  readonly place: Place
  /** What the client calls the server. */
  readonly name: SubjectAltName
  readonly timeoutMs: number
}

export type Sight =
  | { readonly kind: 'done'; readonly protocol: string; readonly chain: readonly X509Certificate[] }
  /** `code` is Node's, as `ERR_SSL_WRONG_VERSION_NUMBER`. */
  | { readonly kind: 'failed'; readonly code: string }
  | { readonly kind: 'silent' }

/** What the server shows, leaf first, without what it did not send. `onDone` may use the socket, and then ends it. */
export function look(handshake: Handshake, onDone: (socket: TLSSocket) => void = endOf): Promise<Sight> {
  // Without any root of our own the chain ends where that of the server does.
  return shake(handshake, { ca: [], rejectUnauthorized: false }, (socket) => {
    onDone(socket)
    return { kind: 'done', protocol: socket.getProtocol() ?? 'unknown', chain: chainOf(socket) }
  })
}

/** OpenSSL's verdict with these roots and no others: undefined if it is content, else its code, as `CERT_HAS_EXPIRED`. */
export async function judge(handshake: Handshake, roots: readonly string[]): Promise<string | undefined> {
  const verdict = await shake(handshake, { ca: [...roots] }, (socket) => {
    endOf(socket)
    return { kind: 'content' as const }
  })
  if (verdict.kind === 'content') return undefined
  return verdict.kind === 'failed' ? verdict.code : 'no answer in time'
}

type Interrupted = Exclude<Sight, { readonly kind: 'done' }>

function shake<T>(
  { place, name, timeoutMs }: Handshake,
  options: ConnectionOptions,
  onSecure: (socket: TLSSocket) => T,
): Promise<T | Interrupted> {
  return new Promise((resolve) => {
    const socket = connect({
      ...options,
      host: place.address,
      port: place.port,
      // A client that dials an address sends no name (RFC 6066 §3).
      ...(name.type === 'dns' ? { servername: name.value } : {}),
      // What Go's clients speak at least; they also take any certificate among the roots as an end of the chain.
      minVersion: 'TLSv1.2',
      allowPartialTrustChain: true,
      ALPNProtocols: ['http/1.1'],
      // Names are compared apart from the chain, so that each is told by itself.
      checkServerIdentity: () => undefined,
    })
    const timer = setTimeout(() => {
      socket.destroy()
      resolve({ kind: 'silent' })
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

function endOf(socket: TLSSocket): void {
  socket.destroy()
}

function chainOf(socket: TLSSocket): readonly X509Certificate[] {
  const chain: X509Certificate[] = []
  const seen = new Set<string>()
  // Without a certificate Node gives an object without anything in it.
  let next: Partial<DetailedPeerCertificate> | undefined = socket.getPeerCertificate(true)
  while (next?.raw !== undefined && !seen.has(next.fingerprint256 ?? '')) {
    seen.add(next.fingerprint256 ?? '')
    chain.push(new X509Certificate(next.raw))
    next = next.issuerCertificate
  }
  return chain
}
