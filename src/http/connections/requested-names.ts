// What clients call us: told by each handshake, also one that fails, and by each request.
//
// Clients that refuse a certificate end in different ways (measured on Node 20 and 24, TLS 1.2 and 1.3). Go sends the
// alert `bad certificate` whatever it dislikes. OpenSSL's program, curl and Python tell `unknown ca` from `bad
// certificate`, but curl and wget finish the handshake first and hang up without a word when only the name is wrong;
// so do Node's clients, on TLS 1.3 before it is finished.

import type { IncomingMessage } from 'node:http'
import type { Server } from 'node:https'
import type { Socket } from 'node:net'
import { errorCode } from '../../errors/errors.ts'
import type { OnTcp } from './connection.ts'
import { addressOf, withoutMapping } from '../client-address.ts'

/** A name or address that a client uses for us, as it sent it: anything can be in it. */
export interface AskedName {
  readonly name: string
  readonly by: 'server name' | 'address' | 'host header'
  /** The client's. */
  readonly address: string
}

/** Why a client ended the handshake, in the words of RFC 8446 §6.2. */
export type CertificateAlert = 'unknown ca' | 'bad certificate' | 'certificate unknown'

export interface AskedNames {
  asked(name: AskedName): void
  /** The client wants no connection with what it was shown. */
  refused(name: AskedName, alert: CertificateAlert): void
}

/** Tells `names` of every name once for each connection. */
export function hearAskedNames(server: Server, names: AskedNames): void {
  server.on('connection', (socket: HeardSocket) => {
    socket[ENDS] = endsOf(socket)
  })
  server.on('secureConnection', (socket: NamedSocket) => {
    names.asked(askedOf(socket))
  })
  server.on('tlsClientError', (error: Error, socket: NamedSocket) => {
    const asked = askedOf(socket)
    const alert = alertOf(error)
    if (alert !== undefined) names.refused(asked, alert)
    // Whoever went away without having named us may be a port scan, and no client at all.
    else if (asked.by === 'server name') names.asked(asked)
  })
  const hear = (incoming: IncomingMessage): void => {
    hearHost(incoming, names)
  }
  server.on('request', hear)
  server.on('checkContinue', hear)
}

// Kept from when the connection came: of one that is gone the system tells no addresses any more.
const ENDS = Symbol('ends')
const HEARD_HOST = Symbol('heard host')

interface Ends {
  readonly local: string
  readonly remote: string
}

type HeardSocket = Socket & { [ENDS]?: Ends; [HEARD_HOST]?: string }
type NamedSocket = OnTcp<HeardSocket> & { readonly servername?: string | false | null }

function endsOf({ localAddress = '', remoteAddress = 'unknown' }: Socket): Ends {
  return { local: withoutMapping(localAddress), remote: withoutMapping(remoteAddress) }
}

function askedOf({ servername, _parent: connection }: NamedSocket): AskedName {
  const { local, remote } = connection?.[ENDS] ?? { local: '', remote: 'unknown' }
  return typeof servername === 'string' && servername !== ''
    ? { name: servername, by: 'server name', address: remote }
    : { name: local, by: 'address', address: remote }
}

// By its end: OpenSSL 3.2 turned `SSLV3_ALERT_` into `SSL/TLS_ALERT_`.
function alertOf(error: Error): CertificateAlert | undefined {
  const [, alert = ''] = /_ALERT_([A-Z_]+)$/.exec(errorCode(error) ?? '') ?? []
  return ALERTS.get(alert)
}

const ALERTS: ReadonlyMap<string, CertificateAlert> = new Map([
  ['UNKNOWN_CA', 'unknown ca'],
  ['BAD_CERTIFICATE', 'bad certificate'],
  ['CERTIFICATE_UNKNOWN', 'certificate unknown'],
])

function hearHost(incoming: IncomingMessage, names: AskedNames): void {
  const socket: HeardSocket = incoming.socket
  const { host } = incoming.headers
  if (host === undefined || host === socket[HEARD_HOST]) return
  socket[HEARD_HOST] = host
  const name = host.replace(/:\d*$/, '')
  names.asked({ name, by: 'host header', address: addressOf(incoming) })
}
