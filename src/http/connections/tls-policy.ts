// What a TLS handshake goes by: certificate, versions, suites and curves, and whose certificates clients are asked for.

import { constants } from 'node:crypto'
import type { ServerOptions } from 'node:https'

/** Certificate chain and key as PEM texts. */
export interface ServedCertificate {
  readonly certPem: string
  readonly keyPem: string
}

/** What a handshake goes by. */
export interface Shown {
  readonly certificate: ServedCertificate
  readonly clientCaPem: string | undefined
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

// What browsers and Go prefer, in this order; curves that nobody needs are left out.
const CURVES = 'X25519:P-256:P-384'

/** For a server and for its `setSecureContext`; the ticket keys of each are new. */
export function tlsOptions({ certificate, clientCaPem }: Shown): ServerOptions {
  return {
    cert: certificate.certPem,
    key: certificate.keyPem,
    minVersion: 'TLSv1.2',
    ciphers: CIPHERS,
    ecdhCurve: CURVES,
    honorCipherOrder: true,
    // A resumed session brings along what an earlier handshake thought of the certificate. Registry clients resume none.
    secureOptions: clientCaPem === undefined ? SECURE_OPTIONS : SECURE_OPTIONS | constants.SSL_OP_NO_TICKET,
    ...(clientCaPem === undefined ? {} : { ca: clientCaPem }),
  }
}

/**
 * Whoever has none, or a wrong one, finishes the handshake too, and is told by the pipeline what is wrong: OpenSSL
 * verifies all the same, and client-certificate.ts lets nobody pass whom it has not authorized. Only `/-/`, where the root
 * is handed out, needs no certificate.
 */
export function clientCertificateOptions({ clientCaPem }: Shown): ServerOptions {
  return clientCaPem === undefined ? {} : { requestCert: true, rejectUnauthorized: false }
}
