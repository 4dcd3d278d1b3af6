// Reports the names that clients use for this server.
//
// Clients that refuse a certificate end in different ways (measured on Node 20 and 24, TLS 1.2 and 1.3). Go sends the
// alert `bad certificate` for every reason. OpenSSL's program, curl and Python distinguish `unknown ca` from `bad
// certificate`. If only the name is wrong, curl and wget finish the handshake and then close without an alert. Node's
// clients do the same; on TLS 1.3 they close before the handshake is finished.

import type { RequestListener } from 'node:http'
import { errorCode } from '../../errors/errors.ts'
import { connectionOf, type Connection } from './connection.ts'

/** A name or address that a client uses for this server. Threat: the client chooses the text. */
export interface AskedName {
  readonly name: string
  readonly by: 'server name' | 'address' | 'host header'
  /** The client's address. */
  readonly address: string
}

/** Why a client ended the handshake, in the words of RFC 8446 §6.2. */
export type CertificateAlert = 'unknown ca' | 'bad certificate' | 'certificate unknown'

export interface AskedNames {
  asked(name: AskedName): void
  /** The client rejected the certificate. */
  refused(name: AskedName, alert: CertificateAlert): void
}

/** Reports the name of a successful handshake. */
export function reportServerName(connection: Connection, names: AskedNames): void {
  names.asked(serverNameOf(connection))
}

/** Reports the name of a failed handshake, and the client's alert. */
export function reportFailedHandshake(
  connection: Connection,
  { error, names }: { readonly error: Error; readonly names: AskedNames },
): void {
  const asked = serverNameOf(connection)
  const alert = alertOf(error)
  if (alert !== undefined) names.refused(asked, alert)
  // A connection that ends without a server name may be a port scan.
  else if (asked.by === 'server name') names.asked(asked)
}

/** Reports each Host header of a connection once. */
export function reportHostHeaders(names: AskedNames): (listener: RequestListener) => RequestListener {
  return (listener) => (incoming, outgoing) => {
    const connection = connectionOf(incoming.socket)
    const { host } = incoming.headers
    if (host !== undefined && host !== connection.host) {
      connection.host = host
      const name = host.replace(/:\d*$/, '')
      names.asked({ name, by: 'host header', address: connection.address })
    }
    listener(incoming, outgoing)
  }
}

function serverNameOf({ tls, address, localAddress }: Connection): AskedName {
  // Node's type lacks it on sockets of a server.
  const { servername } = (tls ?? {}) as { readonly servername?: string | false | null }
  return typeof servername === 'string' && servername !== ''
    ? { name: servername, by: 'server name', address }
    : { name: localAddress, by: 'address', address }
}

// Matches the end of the code, because OpenSSL 3.2 renamed `SSLV3_ALERT_` to `SSL/TLS_ALERT_`.
function alertOf(error: Error): CertificateAlert | undefined {
  const [, alert = ''] = /_ALERT_([A-Z_]+)$/.exec(errorCode(error) ?? '') ?? []
  return ALERTS.get(alert)
}

const ALERTS: ReadonlyMap<string, CertificateAlert> = new Map([
  ['UNKNOWN_CA', 'unknown ca'],
  ['BAD_CERTIFICATE', 'bad certificate'],
  ['CERTIFICATE_UNKNOWN', 'certificate unknown'],
])
