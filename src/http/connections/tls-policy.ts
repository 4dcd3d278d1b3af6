// Defines the TLS versions, suites, curves and client certificates of handshakes.

import { constants } from 'node:crypto'
import type { ServerOptions } from 'node:https'

export interface ServedCertificate {
  readonly certPem: string
  readonly keyPem: string
}

export interface HandshakeFiles {
  readonly certificate: ServedCertificate
  readonly clientCaPem: string | undefined
}

// All suites have AEAD and forward secrecy. Issued certificates use ECDSA, so ECDSA is first. Old Docker needs TLS 1.2.
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

// Threat: on TLS 1.2 each renegotiation costs the server a handshake and the attacker almost nothing.
const SECURE_OPTIONS = constants.SSL_OP_NO_RENEGOTIATION | constants.SSL_OP_NO_COMPRESSION

// Browsers and Go prefer these curves in this order.
const CURVES = 'X25519:P-256:P-384'

export function tlsOptions({ certificate, clientCaPem }: HandshakeFiles): ServerOptions {
  return {
    cert: certificate.certPem,
    key: certificate.keyPem,
    minVersion: 'TLSv1.2',
    ciphers: CIPHERS,
    ecdhCurve: CURVES,
    honorCipherOrder: true,
    // A resumed session keeps an old verdict on the client certificate. Registry clients do not resume sessions.
    secureOptions: clientCaPem === undefined ? SECURE_OPTIONS : SECURE_OPTIONS | constants.SSL_OP_NO_TICKET,
    ...(clientCaPem === undefined ? {} : { ca: clientCaPem }),
  }
}

/** The handshake accepts every certificate. client-certificate.ts refuses an invalid certificate with a reason. */
export function clientCertificateOptions({ clientCaPem }: HandshakeFiles): ServerOptions {
  return clientCaPem === undefined ? {} : { requestCert: true, rejectUnauthorized: false }
}
