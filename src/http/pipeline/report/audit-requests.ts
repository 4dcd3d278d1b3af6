// Records pushes, deletions and denied actions of finished requests.

import { isDigest } from '../../../access/repository-name.ts'
import { scopeOf } from '../../../access/scope.ts'
import type { AuditLine, AuditStream } from '../../../observability/audit-stream.ts'
import { usernameOf, type RequestFacts } from '../../request-facts.ts'
import { traceParentOf } from './trace-parent.ts'

export interface FinishedRequest {
  readonly facts: RequestFacts
  readonly method: string
  readonly target: string
  readonly status: number
  readonly traceparent: string | string[] | undefined
}

export function auditRequest(audit: Pick<AuditStream, 'record'>, request: FinishedRequest): void {
  const change = isDenied(request) ? denialOf(request) : changeOf(request)
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

/** A refusal of the sidecar has a reason, and one before the login has no subject. */
function isDenied({ facts, status }: FinishedRequest): boolean {
  return status === 403 && facts.subject !== undefined && facts.reason !== undefined
}

function denialOf({ facts: { missing }, method, target }: FinishedRequest): AuditLine {
  const { repository, tag, digest, path } = placeOf(method, target)
  const place = { repository: missing?.repository ?? repository, tag, digest, path }
  return { event: 'denied', outcome: 'denied', action: missing?.action ?? ACTION_OF[method], ...place }
}

// For denials that concern no single right, such as those of immutable tags.
const ACTION_OF: Readonly<Record<string, string>> = { PUT: 'push', DELETE: 'delete' }

function changeOf({ facts, method, target, status }: FinishedRequest): AuditLine | undefined {
  if (facts.target === undefined || (method !== 'PUT' && method !== 'DELETE')) return undefined
  const { isChange, ...place } = placeOf(method, target)
  if (!isChange) return undefined
  const event = method === 'PUT' ? 'push' : 'delete'
  return { event, outcome: outcomeOf(status), ...place, digest: facts.digest ?? place.digest }
}

interface Place {
  readonly isChange: boolean
  readonly repository?: string
  readonly tag?: string
  readonly digest?: string
  readonly path?: string
}

const REFERENCE = /\/manifests\/([^/?]+)(?:\?|$)/
const MAX_PATH = 512

function placeOf(method: string, target: string): Place {
  const scope = scopeOf(method, target)
  // Threat: an address that only the registry recognizes must not hide a change.
  if (scope.kind === 'unrecognized')
    return { isChange: true, path: target.split('?', 1)[0]?.slice(0, MAX_PATH) ?? '' }
  if (scope.kind !== 'repository') return { isChange: false }
  const { repository, change } = scope
  if (change?.kind === 'delete-blob') return { isChange: true, repository, digest: change.digest }
  const reference = REFERENCE.exec(target)?.[1]
  if (reference === undefined) return { isChange: false, repository }
  return { isChange: true, repository, ...(isDigest(reference) ? { digest: reference } : { tag: reference }) }
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
