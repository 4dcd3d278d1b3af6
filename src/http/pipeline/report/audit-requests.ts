// Records pushes, deletions and denied actions of finished requests.

import type { AuditLine, AuditStream } from '../../../observability/audit-stream.ts'
import { usernameOf, type RequestFacts } from '../../request-facts.ts'
import { denialOf, isDenied } from './denial.ts'
import type { FinishedRequest } from './finished-request.ts'
import { placeOf } from './place.ts'
import { traceParentOf } from './trace-parent.ts'

export type AuditedRequest = Pick<FinishedRequest, 'facts' | 'method' | 'target' | 'status' | 'traceparent'>

export function auditRequest(audit: Pick<AuditStream, 'record'>, request: AuditedRequest): void {
  const change = isDenied(request) ? denialLine(request) : changeOf(request)
  if (change === undefined) return
  const { facts, status, traceparent } = request
  const { id, address, clientCertificate, reason } = facts
  audit.record({
    ...change,
    user: usernameOf(facts),
    how: howOf(facts),
    machinePassword: facts.machinePassword?.id,
    clientCertificate,
    address,
    id,
    status,
    reason,
    traceparent: traceParentOf(traceparent),
  })
}

function denialLine(request: AuditedRequest): AuditLine {
  return { event: 'denied', outcome: 'denied', ...denialOf(request) }
}

function changeOf({ facts, method, target, status }: AuditedRequest): AuditLine | undefined {
  if (facts.target === undefined || (method !== 'PUT' && method !== 'DELETE')) return undefined
  const { isChange, ...place } = placeOf(method, target)
  if (!isChange) return undefined
  const event = method === 'PUT' ? 'push' : 'delete'
  return { event, outcome: outcomeOf(status), ...place, digest: facts.digest ?? place.digest }
}

// 499, 502 and 504: no answer of the registry arrived, so it may have carried out the request.
const UNANSWERED: ReadonlySet<number> = new Set([499, 502, 504])

function outcomeOf(status: number): AuditLine['outcome'] {
  if (status < 400) return 'done'
  if (UNANSWERED.has(status)) return 'unanswered'
  return status < 500 ? 'refused' : 'failed'
}

function howOf(facts: RequestFacts): string {
  if (facts.isCertificateLogin) return 'certificate'
  if (facts.subject?.kind === 'anonymous') return 'anonymous'
  if (facts.hasToken) return 'token'
  if (facts.machinePassword !== undefined) return 'machine-password'
  return facts.isOldPassword ? 'old-password' : 'password'
}
