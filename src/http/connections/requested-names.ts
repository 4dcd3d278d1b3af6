// Reports the names that clients use for this server.
// For an untrusted certificate, Go, OpenSSL, curl and Python send an alert. Node's clients send none (measured).

import type { RequestListener } from 'node:http'
import { errorCode } from '../../errors/errors.ts'
import { connectionOf, type Connection } from './connection.ts'

/** Threat: the client chooses the text. */
export interface RequestedName {
  readonly name: string
  readonly by: 'server name' | 'address' | 'host header'
  readonly address: string
}

/** RFC 8446 §6.2. */
export type CertificateAlert = 'unknown ca' | 'bad certificate' | 'certificate unknown'

export interface RequestedNames {
  requested(name: RequestedName): void
  refused(name: RequestedName, alert: CertificateAlert): void
}

export function reportServerName(connection: Connection, names: RequestedNames): void {
  names.requested(serverNameOf(connection))
}

export function reportFailedHandshake(
  connection: Connection,
  { error, names }: { readonly error: Error; readonly names: RequestedNames },
): void {
  const requested = serverNameOf(connection)
  const alert = alertOf(error)
  if (alert !== undefined) names.refused(requested, alert)
  // A connection that ends without a server name may be a port scan.
  else if (requested.by === 'server name') names.requested(requested)
}

export function reportHostHeaders(names: RequestedNames): (listener: RequestListener) => RequestListener {
  return (listener) => (incoming, outgoing) => {
    const connection = connectionOf(incoming.socket)
    const { host } = incoming.headers
    // The client of a proxy sees the certificate of the proxy.
    if (host !== undefined && host !== connection.host && !connection.isProxy) {
      connection.host = host
      const name = host.replace(/:\d*$/, '')
      names.requested({ name, by: 'host header', address: connection.address })
    }
    listener(incoming, outgoing)
  }
}

function serverNameOf({ tls, address, localAddress }: Connection): RequestedName {
  // Node's type lacks `servername` on sockets of a server.
  const { servername } = (tls ?? {}) as { readonly servername?: string | false | null }
  return typeof servername === 'string' && servername !== ''
    ? { name: servername, by: 'server name', address }
    : { name: localAddress, by: 'address', address }
}

// OpenSSL 3.2 renamed `SSLV3_ALERT_` to `SSL/TLS_ALERT_`.
function alertOf(error: Error): CertificateAlert | undefined {
  const [, alert = ''] = /_ALERT_([A-Z_]+)$/.exec(errorCode(error) ?? '') ?? []
  return ALERTS.get(alert)
}

const ALERTS: ReadonlyMap<string, CertificateAlert> = new Map([
  ['UNKNOWN_CA', 'unknown ca'],
  ['BAD_CERTIFICATE', 'bad certificate'],
  ['CERTIFICATE_UNKNOWN', 'certificate unknown'],
])
