// Admits or refuses requests by the client's certificate.
// The handshake accepts every client, so that a refused client gets a reason in the registry's format.

import type { Metrics } from '../../../observability/metrics.ts'
import {
  EXPIRED,
  hasExpired,
  judgeCertificate,
  type CertificateDemand,
  type CertificateVerdict,
  type Fault,
} from '../../connections/certificate-verdict.ts'
import { isHandshakeOld, isOutdated } from '../../connections/client-ca-change.ts'
import type { Connection } from '../../connections/connection.ts'
import { refusal, type Refusal } from '../../refusals.ts'
import { NO_USERS } from './authenticate.ts'
import type { LoginAudit } from './login-audit.ts'
import { refuse, type PipelineContext, type Step } from '../step.ts'
import type { Answered } from '../../answers.ts'

export interface ClientCertificateOptions {
  readonly demand: CertificateDemand
  readonly audit: LoginAudit
  readonly metrics: Metrics
  readonly hasUsers: () => boolean
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
    'this registry demands a client certificate and got none: put client.cert and client.key beside ca.crt in certs.d, or give them to your client in its own way; most clients send a certificate only if an authority that this registry accepts has signed it',
}

const NO_USER: Fault = {
  reason: 'client certificate of no user',
  message: 'the name in your client certificate is no user of this registry: have it added to the users file',
}

/** Comes before the check of the certificate, and under /v2/ again after the login, which may take seconds. */
export function refuseOutdated(): Step {
  return async function refuseOutdatedHandshake(c, next) {
    if (isOutdated(c.var.answer.connection)) return refuse(c, CHANGED, 'client authorities changed')
    await next()
    return undefined
  }
}

export function demandClientCertificate(options: ClientCertificateOptions): Step {
  const { demand, hasUsers } = options

  return async function checkClientCertificate(c, next) {
    const { facts, answer } = c.var
    const { connection } = answer
    if (isHandshakeOld(connection)) c.env.outgoing.shouldKeepAlive = false
    const verdict = verdictNow(connection, demand)
    if (verdict.kind === 'valid') {
      const { name } = verdict
      facts.clientCertificate = name.ok ? name.name : true
      if (demand.mode !== 'require') {
        if (!hasUsers()) return refuse(c, NO_USERS, 'no users file')
        if (!name.ok) return deny(c, options, faultOfName(name.reason))
        if (!demand.isUser(name.name)) return deny(c, options, NO_USER)
        facts.subject = { kind: 'user', username: name.name }
        options.metrics.loginAccepted('certificate')
        facts.isCertificateLogin = true
      }
    } else if (demand.mode !== 'optional') {
      return deny(c, options, verdict.kind === 'none' ? NO_CERTIFICATE : verdict.fault)
    } else if (verdict.kind === 'invalid') {
      // Certificates are optional here, so an invalid one does not prevent a login with a password.
      facts.certificateProblem = verdict.fault.reason
    }
    await next()
    return undefined
  }
}

function faultOfName(reason: string): Fault {
  return {
    reason: `client certificate with ${reason}`,
    message: `your client certificate names no user: it has ${reason}; have one issued that names exactly one`,
  }
}

function deny(c: PipelineContext, { audit, metrics }: ClientCertificateOptions, fault: Fault): Answered {
  // The client has not tried to log in yet.
  if (fault !== NO_CERTIFICATE) {
    audit.refused({ address: c.var.facts.address, reason: fault.reason, username: undefined })
    metrics.loginRefused('certificate')
  }
  return refuse(c, refusal('denied', fault.message), fault.reason)
}

// The certificate is checked once per connection, because a connection has one handshake. Its expiry is checked each time.
function verdictNow(connection: Connection, demand: CertificateDemand): CertificateVerdict {
  const verdict = (connection.certificate ??= judgeCertificate(connection.tls, demand))
  return hasExpired(verdict) ? { kind: 'invalid', fault: EXPIRED } : verdict
}
