// Gives each request an id, and reports the request when it ends.

import { randomBytes } from 'node:crypto'
import type { Activity } from '../../../observability/activity/activity.ts'
import type { AuditStream } from '../../../observability/audit-stream.ts'
import type { Metrics } from '../../../observability/metrics.ts'
import { connectionOf, type Answer } from '../../connections/connection.ts'
import type { IsProxy } from '../../client-address.ts'
import { clientOf } from '../../forwarded-for.ts'
import { usernameOf, type RequestFacts } from '../../request-facts.ts'
import type { AccessLog } from './access-log.ts'
import { METHODS } from '../admit.ts'
import { auditRequest } from './audit-requests.ts'
import { finishRequest, type FinishedRequest } from './finished-request.ts'
import { recordActivity } from './record-activity.ts'
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
      tokenValidUntil: undefined,
      clientCertificate: undefined,
      isCertificateLogin: false,
      certificateProblem: undefined,
      target: undefined,
      change: undefined,
      hasWaited: false,
      digest: undefined,
      answerLength: undefined,
      missing: undefined,
      reason: undefined,
    }
    answer.facts = facts
    c.set('answer', answer)
    c.set('facts', facts)
    await next()
  }
}

// Ids are unique across restarts. They are guessable, because random bytes for each request cost too much.
function createIds(): () => string {
  const prefix = randomBytes(5).toString('hex')
  let count = 0
  return () => `${prefix}-${(++count).toString(36)}`
}

export interface ReporterOptions {
  readonly accessLog: AccessLog
  readonly metrics: Metrics
  readonly auditStream: AuditStream | undefined
  readonly activity: Activity
}

export function createReporter({
  accessLog,
  metrics,
  auditStream,
  activity,
}: ReporterOptions): (answer: Answer) => void {
  return (answer) => {
    const request = finishRequest(answer)
    if (request === undefined) return
    countRequest(metrics, request)
    logRequest(accessLog, request)
    if (auditStream !== undefined) auditRequest(auditStream, request)
    recordActivity(activity, request)
  }
}

function countRequest(metrics: Metrics, request: FinishedRequest): void {
  const { method, status, route, ms, bytes, operation, outcome } = request
  metrics.requestFinished({
    method: METHODS.has(method) ? method : 'other',
    status,
    route,
    seconds: ms / 1000,
    receivedBytes: bytes.received,
    sentBytes: bytes.sent,
  })
  if (operation !== undefined) metrics.operationFinished(operation, outcome)
}

function logRequest(accessLog: AccessLog, request: FinishedRequest): void {
  const { facts, method, target, status, ms, bytes, isComplete, traceparent } = request
  accessLog.request({
    event: 'request',
    id: facts.id,
    user: usernameOf(facts),
    anonymous: facts.subject?.kind === 'anonymous' || undefined,
    method,
    path: pathOf(target),
    status,
    in: bytes.received,
    out: bytes.sent,
    ms: Math.round(ms * 10) / 10,
    address: facts.address,
    traceparent: traceParentOf(traceparent),
    clientCertificate: facts.clientCertificate,
    certificateProblem: facts.certificateProblem,
    oldPassword: facts.isOldPassword || undefined,
    machinePassword: facts.machinePassword?.id,
    cut: !isComplete || undefined,
    reason: facts.reason,
    action: facts.missing?.action,
    repository: facts.missing?.repository,
  })
}

// The query can contain upload state. Careless clients also put secrets there.
function pathOf(url: string): string {
  return (url.split('?', 1)[0] ?? '').slice(0, MAX_LOGGED_PATH)
}
