// Why there was no handshake.

import type { Finding } from './finding.ts'
import type { Sight } from './handshake.ts'
import type { PlainAnswer } from './plain-talk.ts'

type Explanation = Pick<Finding, 'text' | 'mend'>

const OLD: Explanation = {
  text: 'it speaks neither TLS 1.2 nor 1.3, which clients want at least',
  mend: 'switch TLS 1.2 and 1.3 on there',
}
const NO_AGREEMENT: Explanation = {
  text: 'it refuses the handshake: no cipher in common, or it demands a client certificate',
  mend: 'see its log; clients need ECDHE with AES-GCM or ChaCha20, and client.cert with client.key in certs.d if it demands one',
}
const UNKNOWN_NAME: Explanation = {
  text: 'it has no certificate for this name, and refuses the handshake',
  mend: 'call it by a name that it knows, or have it know this one',
}

// Alerts as Node names them; OpenSSL 3.5 gave one of them another name.
const ALERTS: Readonly<Record<string, Explanation>> = {
  ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION: OLD,
  ERR_SSL_UNSUPPORTED_PROTOCOL: OLD,
  ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE: NO_AGREEMENT,
  'ERR_SSL_SSL/TLS_ALERT_HANDSHAKE_FAILURE': NO_AGREEMENT,
  ERR_SSL_TLSV1_UNRECOGNIZED_NAME: UNKNOWN_NAME,
  ERR_SSL_TLSV1_ALERT_UNRECOGNIZED_NAME: UNKNOWN_NAME,
  ERR_SSL_TLSV1_ALERT_INTERNAL_ERROR: UNKNOWN_NAME,
}

/** Whether the alert of a TLS server says it, so that asking in plain text would tell no more. */
export function isAlert(code: string): boolean {
  return code in ALERTS
}

/** `plain` is what came when asked in plain text. */
export function explainHandshake(
  sight: Exclude<Sight, { readonly kind: 'done' }>,
  plain: PlainAnswer | undefined,
): Finding {
  return { level: 'problem', part: 'tls', ...explain(sight, plain) }
}

function explain(
  sight: Exclude<Sight, { readonly kind: 'done' }>,
  plain: PlainAnswer | undefined,
): Explanation {
  if (sight.kind === 'failed' && isAlert(sight.code)) return ALERTS[sight.code] ?? OLD
  switch (plain?.kind) {
    case 'http':
      return plain.isRegistry
        ? {
            text: 'a registry answers there in plain HTTP, without TLS',
            mend: 'this is the registry itself, open to everybody: publish the port of the sidecar instead',
          }
        : {
            text: `an HTTP server without TLS answers there, with ${plain.status}`,
            mend: 'another service listens there: is the port right?',
          }
    case 'other':
      return {
        text: `something else than a registry listens there; it begins with "${plain.begins}"`,
        mend: 'is the port right?',
      }
    case 'nothing':
    case undefined:
      return sight.kind === 'silent'
        ? {
            text: 'it accepts the connection and then says nothing',
            mend: 'something in between may hold it: a firewall, a port forwarding without an end; or it hangs: see its log',
          }
        : {
            text: `it ends the connection without a handshake (${sight.code})`,
            mend: 'is the port right? If it is a TLS server, see its log',
          }
  }
}
