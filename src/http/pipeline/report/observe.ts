// Gives each request an id, and reports it to log and metrics.

import { randomBytes } from 'node:crypto'
import type { AuditStream } from '../../../observability/audit-stream.ts'
import type { Metrics } from '../../../observability/metrics.ts'
import { connectionOf, type Answer, type Bytes, type Connection } from '../../connections/connection.ts'
import type { IsProxy } from '../../client-address.ts'
import { clientOf } from '../../forwarded-for.ts'
import { usernameOf, type RequestFacts } from '../../request-facts.ts'
import type { AccessLog } from './access-log.ts'
import { METHODS } from '../admit.ts'
import { auditRequest } from './audit-requests.ts'
import { operationOf, operationOutcome } from './operation.ts'
import { routeKindOf } from './route-kind.ts'
import type { Step } from '../step.ts'
import { traceParentOf } from './trace-parent.ts'

const MAX_LOGGED_PATH = 512

export function observe(isProxy: IsProxy): Step {
  const nextId = createIds()
  return async function observeRequest(c, next) {
    const { incoming, outgoing } = c.env
    const answer = connectionOf(incoming.socket).answers.get(outgoing)
    if (answer === undefined) throw new Error('a request reached the pipeline without a record')
    const { address, source } = clientOf(answer.connection, incoming.headers['x-forwarded-for'], isProxy)
    const facts: RequestFacts = {
      id: nextId(),
      address,
      source,
      startedAt: performance.now(),
      subject: undefined,
      isOldPassword: false,
      machinePassword: undefined,
      hasToken: false,
      clientCertificate: undefined,
      isCertificateLogin: false,
      certificateProblem: undefined,
      target: undefined,
      change: undefined,
      hasWaited: false,
      digest: undefined,
      missing: undefined,
      reason: undefined,
    }
    answer.facts = facts
    c.set('answer', answer)
    c.set('facts', facts)
    await next()
  }
}

// Ids are unique across restarts, but may be guessable, because random bytes cost too much.
function createIds(): () => string {
  const prefix = randomBytes(5).toString('hex')
  let count = 0
  return () => `${prefix}-${(++count).toString(36)}`
}

export interface ReporterOptions {
  readonly accessLog: AccessLog
  readonly metrics: Metrics
  readonly auditStream: AuditStream | undefined
}

export function createReporter({
  accessLog,
  metrics,
  auditStream,
}: ReporterOptions): (answer: Answer) => void {
  return ({ connection, outgoing, facts }) => {
    if (facts === undefined) return
    const incoming = outgoing.req
    const ms = performance.now() - facts.startedAt
    const bytes = chargeBytes(connection)
    // 499: the connection closed before any status was sent.
    const status = outgoing.headersSent ? outgoing.statusCode : 499
    const method = incoming.method ?? ''
    const route = routeKindOf(incoming.url ?? '')
    metrics.requestFinished({
      method: METHODS.has(method) ? method : 'other',
      status,
      route,
      seconds: ms / 1000,
      receivedBytes: bytes.received,
      sentBytes: bytes.sent,
    })
    const operation = operationOf(method, route)
    if (operation !== undefined) {
      const isComplete = outgoing.writableFinished
      metrics.operationFinished(operation, operationOutcome({ status, isComplete }))
    }
    accessLog.request({
      event: 'request',
      id: facts.id,
      user: usernameOf(facts),
      anonymous: facts.subject?.kind === 'anonymous' || undefined,
      method,
      path: pathOf(incoming.url ?? ''),
      status,
      in: bytes.received,
      out: bytes.sent,
      ms: Math.round(ms * 10) / 10,
      address: facts.address,
      traceparent: traceParentOf(incoming.headers['traceparent']),
      clientCertificate: facts.clientCertificate,
      certificateProblem: facts.certificateProblem,
      oldPassword: facts.isOldPassword || undefined,
      machinePassword: facts.machinePassword?.id,
      cut: !outgoing.writableFinished || undefined,
      reason: facts.reason,
      action: facts.missing?.action,
      repository: facts.missing?.repository,
    })
    if (auditStream !== undefined) {
      const { url: target = '', headers } = incoming
      auditRequest(auditStream, { facts, method, target, status, traceparent: headers['traceparent'] })
    }
  }
}

function chargeBytes(connection: Connection): Bytes {
  const { charged, tls } = connection
  const now = { received: tls?.bytesRead ?? 0, sent: tls?.bytesWritten ?? 0 }
  connection.charged = now
  return { received: now.received - charged.received, sent: now.sent - charged.sent }
}

// The query carries upload state and, from careless clients, secrets.
function pathOf(url: string): string {
  return (url.split('?', 1)[0] ?? '').slice(0, MAX_LOGGED_PATH)
}
