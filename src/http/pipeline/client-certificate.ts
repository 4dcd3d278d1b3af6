// Client certificate → pass on, with or without a user, or a sentence that says what is wrong with it.
//
// The handshake lets everybody through, and the decision is made here, so that people are told. Nothing of a request
// reaches the registry before that.

import type { X509Certificate } from 'node:crypto'
import type { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import type { Metrics } from '../../observability/metrics.ts'
import { NO_USERS } from './authenticate.ts'
import { isOld, isOutdated } from '../connections/handshakes.ts'
import type { LoginAudit } from './login-audit.ts'
import { refuse, type PipelineContext, type Step } from './step.ts'
import { refusal, type Refusal } from '../refusals.ts'

/**
 * `require`: a valid certificate, and then the password. `instead`: the name in a valid certificate is the user, without
 * a password. `optional`: as `instead` with a valid certificate, the password without one.
 */
export type ClientAuthMode = 'require' | 'instead' | 'optional'

export interface CertificateDemand {
  readonly mode: ClientAuthMode
  /** The user name in a certificate; a `reason` never repeats what the certificate says. */
  readonly nameOf: (certificate: X509Certificate) => NameInCertificate
  /** Whether one that OpenSSL has found no fault with is of an authority in force that is meant to sign for clients. */
  readonly isAccepted: (certificate: X509Certificate) => boolean
  /** Asked at each request. */
  readonly isUser: (name: string) => boolean
}

export type NameInCertificate =
  { readonly ok: true; readonly name: string } | { readonly ok: false; readonly reason: string }

export interface ClientCertificateOptions {
  readonly demand: CertificateDemand
  readonly audit: LoginAudit
  readonly metrics: Metrics
  readonly hasUsers: () => boolean
  /** Milliseconds since 1970. */
  readonly now?: () => number
}

/** What a connection's certificate is worth. */
type Judgement =
  | { readonly kind: 'none' }
  | { readonly kind: 'invalid'; readonly fault: Fault }
  | { readonly kind: 'valid'; readonly notAfter: number; readonly name: NameInCertificate }

/** `reason` is for the log, `message` for the client. */
interface Fault {
  readonly reason: string
  readonly message: string
}

const CHANGED: Refusal = {
  ...refusal('unavailable', 'the client certificates that are accepted have changed: connect again', {
    'Retry-After': '1',
  }),
  closes: true,
}

const NO_CERTIFICATE: Fault = {
  reason: 'no client certificate',
  message:
    'this registry demands a client certificate and got none: put client.cert and client.key beside ca.crt in certs.d, or give them to your client in its own way; most clients show none that another authority signed',
}

const EXPIRED: Fault = {
  reason: 'client certificate expired',
  message: 'your client certificate has expired: have it renewed',
}

const FOREIGN: Fault = {
  reason: 'client certificate of no accepted authority',
  message:
    'your client certificate was not signed by an authority that this registry accepts: use another, and put what stands between the two behind it in its file',
}

// OpenSSL's codes, as Node names them (X509_verify_cert_error_string(3)). What is not here was not signed as it should.
const FAULTS: Readonly<Record<string, Fault>> = {
  CERT_HAS_EXPIRED: EXPIRED,
  CERT_NOT_YET_VALID: {
    reason: 'client certificate not valid yet',
    message: 'your client certificate is not valid yet: wait, or have the clocks set right',
  },
  INVALID_PURPOSE: {
    reason: 'client certificate not made for clients',
    message:
      'your certificate is not made for clients: have one issued with the extended key usage clientAuth and the key usage digitalSignature',
  },
}

/**
 * Lets nobody pass whose handshake was made under earlier authorities: what it found may hold no more, and another
 * handshake will tell. Stands before anything that believes the handshake, and after what takes its time.
 */
export function refuseOutdated(): Step {
  return async function refuseOutdatedHandshake(c, next) {
    if (isOutdated(c.env.incoming.socket)) return refuse(c, CHANGED, 'client authorities changed')
    await next()
    return undefined
  }
}

/** Lets pass whose client certificate is good enough; what for is up to the mode. */
export function demandClientCertificate(options: ClientCertificateOptions): Step {
  const { demand, hasUsers, now = Date.now } = options

  return async function judgeClientCertificate(c, next) {
    const { incoming, outgoing } = c.env
    const { socket } = incoming
    if (isOld(socket)) outgoing.shouldKeepAlive = false
    const judgement = judgementAt(now(), judgementOf(socket, demand))
    const { facts } = c.var
    if (judgement.kind === 'valid') {
      const { name } = judgement
      facts.clientCertificate = name.ok ? name.name : true
      if (demand.mode !== 'require') {
        if (!hasUsers()) return refuse(c, NO_USERS, 'no users file')
        if (!name.ok) return deny(c, options, faultOfName(name.reason))
        if (!demand.isUser(name.name)) return deny(c, options, NO_USER)
        facts.username = name.name
      }
    } else if (demand.mode !== 'optional') {
      return deny(c, options, judgement.kind === 'none' ? NO_CERTIFICATE : judgement.fault)
    } else if (judgement.kind === 'invalid') {
      // Whoever leaves such a certificate away may try the password; so may who forgot to.
      facts.certificateProblem = judgement.fault.reason
    }
    await next()
    return undefined
  }
}

const NO_USER: Fault = {
  reason: 'client certificate of no user',
  message: 'the name in your client certificate is no user of this registry: have it added to the users file',
}

function faultOfName(reason: string): Fault {
  return {
    reason: `client certificate with ${reason}`,
    message: `your client certificate names no user: it has ${reason}; have one issued that names exactly one`,
  }
}

function deny(c: PipelineContext, { audit, metrics }: ClientCertificateOptions, fault: Fault): Response {
  // No refused login: who has no certificate has not tried anything yet.
  if (fault !== NO_CERTIFICATE) {
    audit.refused({ address: c.var.facts.address, reason: fault.reason, username: undefined })
    metrics.loginRefused('certificate')
  }
  const answer: Refusal = refusal('denied', fault.message)
  return refuse(c, answer, fault.reason)
}

const JUDGEMENT = Symbol('judgement')

type JudgedSocket = Socket & { [JUDGEMENT]?: Judgement }

// Once for a connection: the certificate is its handshake's, and no other one can follow.
function judgementOf(socket: JudgedSocket, demand: CertificateDemand): Judgement {
  const judgement = socket[JUDGEMENT] ?? judge(socket, demand)
  socket[JUDGEMENT] = judgement
  return judgement
}

// A connection may live longer than its certificate.
function judgementAt(now: number, judgement: Judgement): Judgement {
  const hasEnded = judgement.kind === 'valid' && now >= judgement.notAfter
  return hasEnded ? { kind: 'invalid', fault: EXPIRED } : judgement
}

// `authorized` alone is not enough: Node 20 says it of a resumed TLS 1.3 session that never had a certificate.
function judge(socket: Socket, { isAccepted, nameOf }: CertificateDemand): Judgement {
  if (!(socket instanceof TLSSocket)) return { kind: 'none' }
  const certificate = socket.getPeerX509Certificate()
  if (certificate === undefined) return { kind: 'none' }
  if (!socket.authorized) {
    return { kind: 'invalid', fault: FAULTS[String(socket.authorizationError)] ?? FOREIGN }
  }
  if (!isAccepted(certificate)) return { kind: 'invalid', fault: FOREIGN }
  return { kind: 'valid', notAfter: Date.parse(certificate.validTo), name: nameOf(certificate) }
}
