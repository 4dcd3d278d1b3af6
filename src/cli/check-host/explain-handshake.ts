// Explains why a TLS handshake failed.

import type { Explanation, Finding } from '../check/finding.ts'
import type { FailedHandshake } from './handshake.ts'
import type { PlaintextAnswer } from './probe-plaintext.ts'

const OLD_VERSION: Explanation = {
  text: 'the server supports neither TLS 1.2 nor 1.3, but clients need one of them',
  hint: 'enable TLS 1.2 and 1.3 on the server',
}
const NOTHING_IN_COMMON: Explanation = {
  text: 'the server refuses the handshake: it has no cipher in common with clients, or it demands a client certificate',
  hint: 'see the log of the server. Clients need an ECDHE cipher with AES-GCM or ChaCha20. If the server demands a certificate, put client.cert and client.key in certs.d',
}
const UNKNOWN_NAME: Explanation = {
  text: 'the server has no certificate for this name and refuses the handshake',
  hint: 'use a name that the server knows, or add this name to the server',
}

// Alerts as Node names them. OpenSSL 3.5 renamed SSLV3_ALERT_HANDSHAKE_FAILURE to SSL/TLS_ALERT_HANDSHAKE_FAILURE.
const ALERTS: Readonly<Record<string, Explanation>> = {
  ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION: OLD_VERSION,
  ERR_SSL_UNSUPPORTED_PROTOCOL: OLD_VERSION,
  ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE: NOTHING_IN_COMMON,
  'ERR_SSL_SSL/TLS_ALERT_HANDSHAKE_FAILURE': NOTHING_IN_COMMON,
  ERR_SSL_TLSV1_UNRECOGNIZED_NAME: UNKNOWN_NAME,
  ERR_SSL_TLSV1_ALERT_UNRECOGNIZED_NAME: UNKNOWN_NAME,
  ERR_SSL_TLSV1_ALERT_INTERNAL_ERROR: UNKNOWN_NAME,
}

/** A known alert comes from a TLS server, so a plaintext probe would add nothing. */
export function isKnownAlert(code: string): boolean {
  return code in ALERTS
}

export function explainHandshake(failure: FailedHandshake, plaintext: PlaintextAnswer | undefined): Finding {
  return { level: 'problem', part: 'tls', ...explainFailure(failure, plaintext) }
}

function explainFailure(failure: FailedHandshake, plaintext: PlaintextAnswer | undefined): Explanation {
  if (failure.kind === 'failed' && isKnownAlert(failure.code)) return ALERTS[failure.code] ?? OLD_VERSION
  switch (plaintext?.kind) {
    case 'http':
      return explainHttp(plaintext)
    case 'other':
      return {
        text: `the server is not a registry; it sends "${plaintext.begins}"`,
        hint: 'check the port',
      }
    case 'nothing':
    case undefined:
      return explainSilence(failure)
  }
}

function explainHttp({
  isRegistry,
  status,
}: Extract<PlaintextAnswer, { readonly kind: 'http' }>): Explanation {
  return isRegistry
    ? {
        text: 'a registry answers there in plain HTTP, without TLS',
        hint: 'anyone can use the registry without a login: publish the port of the sidecar instead',
      }
    : {
        text: `an HTTP server without TLS answers there, with ${status}`,
        hint: 'another service may listen there: check the port',
      }
}

function explainSilence(failure: FailedHandshake): Explanation {
  return failure.kind === 'timeout'
    ? {
        text: 'the server accepts the connection but sends nothing',
        hint: 'look for a firewall, or for a forwarded port whose target is down; if the server hangs, see its log',
      }
    : {
        text: `the server closes the connection without a handshake (${failure.code})`,
        hint: 'check the port; if a TLS server listens there, see its log',
      }
}
