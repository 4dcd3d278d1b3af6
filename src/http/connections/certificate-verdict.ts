// Judges the client certificate of a connection.

import type { X509Certificate } from 'node:crypto'
import type { TLSSocket } from 'node:tls'

/** `require`: certificate and password. `instead`: certificate only. `optional`: certificate or password. */
export type ClientAuthMode = 'require' | 'instead' | 'optional'

export interface CertificateDemand {
  readonly mode: ClientAuthMode
  /** Threat: the client chooses the text of its certificate, so no `reason` repeats that text. */
  readonly nameOf: (certificate: X509Certificate) => NameInCertificate
  readonly isAccepted: (certificate: X509Certificate) => boolean
  readonly isUser: (name: string) => boolean
}

export type NameInCertificate =
  { readonly ok: true; readonly name: string } | { readonly ok: false; readonly reason: string }

export type CertificateVerdict =
  | { readonly kind: 'none' }
  | { readonly kind: 'invalid'; readonly fault: Fault }
  | { readonly kind: 'valid'; readonly notAfter: number; readonly name: NameInCertificate }

export function hasExpired(verdict: CertificateVerdict | undefined): boolean {
  return verdict?.kind === 'valid' && Date.now() >= verdict.notAfter
}

export interface Fault {
  readonly reason: string
  readonly message: string
}

export const EXPIRED: Fault = {
  reason: 'client certificate expired',
  message: 'your client certificate has expired; ask its issuer for a new one',
}

const NOT_ACCEPTED: Fault = {
  reason: 'client certificate not from an accepted authority',
  message:
    'your client certificate was not signed by an authority that this registry accepts; use another certificate, or append the intermediates to your certificate file',
}

// Codes of X509_verify_cert_error_string(3). All other codes mean that the authority is not accepted.
const FAULTS: Readonly<Record<string, Fault>> = {
  CERT_HAS_EXPIRED: EXPIRED,
  CERT_NOT_YET_VALID: {
    reason: 'client certificate not valid yet',
    message:
      'your client certificate is not valid yet; wait, or correct the clock of your machine or of the registry',
  },
  INVALID_PURPOSE: {
    reason: 'client certificate not made for clients',
    message:
      'your certificate is not made for clients; use one with the extended key usage clientAuth and the key usage digitalSignature',
  },
}

export function judgeCertificate(
  tls: TLSSocket | undefined,
  { isAccepted, nameOf }: Pick<CertificateDemand, 'isAccepted' | 'nameOf'>,
): CertificateVerdict {
  const certificate = tls?.getPeerX509Certificate()
  // Node 20 reports `authorized` for a resumed TLS 1.3 session that never had a certificate.
  if (tls === undefined || certificate === undefined) return { kind: 'none' }
  if (!tls.authorized) {
    return { kind: 'invalid', fault: FAULTS[String(tls.authorizationError)] ?? NOT_ACCEPTED }
  }
  if (!isAccepted(certificate)) return { kind: 'invalid', fault: NOT_ACCEPTED }
  return { kind: 'valid', notAfter: Date.parse(certificate.validTo), name: nameOf(certificate) }
}
