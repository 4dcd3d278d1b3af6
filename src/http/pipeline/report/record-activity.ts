// Records finished requests for the live status.

import type { Activity } from '../../../observability/activity/activity.ts'
import { usernameOf } from '../../request-facts.ts'
import { denialOf, isDenied } from './denial.ts'
import type { FinishedRequest } from './finished-request.ts'
import { placeOf } from './place.ts'

export function recordActivity(activity: Activity, request: FinishedRequest): void {
  const { route, status, isComplete, bytes } = request
  if (isDenied(request)) recordDenial(activity, request)
  // Pages are not traffic of the registry, and a viewer may stay for hours.
  if (route === 'page') return
  const isFailed = status >= 500 || !isComplete
  activity.requestFinished({ receivedBytes: bytes.received, sentBytes: bytes.sent, isFailed })
  if (request.operation !== undefined) recordManifest(activity, request, request.operation)
  else if (request.transfer?.kind === 'blob') recordBlob(activity, request)
}

function recordDenial(activity: Activity, request: FinishedRequest): void {
  const { facts, status } = request
  const { repository, tag, digest, path } = denialOf(request)
  const [reason, detail] = publicReason(facts)
  activity.refused({
    kind: 'denied',
    status,
    reason,
    names: {
      user: usernameOf(facts),
      address: facts.address,
      repository,
      reference: tag ?? digest,
      detail: detail ?? path,
    },
  })
}

// Threat: the admin address shows reasons without a login. Only the reasons for a missing right contain no name.
function publicReason({
  missing,
  reason = '',
}: FinishedRequest['facts']): readonly [reason: string, detail: string | undefined] {
  return missing === undefined
    ? ['this request is not allowed', reason]
    : [`${reason} (${missing.action})`, undefined]
}

function recordManifest(activity: Activity, request: FinishedRequest, operation: 'push' | 'pull'): void {
  const { method, target, outcome, userAgent } = request
  const { repository, tag, digest } = placeOf(method, target)
  const reference = tag ?? digest
  if (repository === undefined || reference === undefined) return
  const bytes = operation === 'push' ? request.bytes.received : request.bytes.sent
  const part = partOf(request, repository)
  activity.manifestFinished({ ...part, operation, bytes, outcome, reference, client: userAgent })
}

function recordBlob(activity: Activity, request: FinishedRequest): void {
  const { method, target, bytes } = request
  const { repository } = placeOf(method, target)
  if (repository === undefined) return
  const part = partOf(request, repository)
  activity.blobFinished(
    method === 'GET'
      ? { ...part, operation: 'pull', bytes: bytes.sent }
      : { ...part, operation: 'push', bytes: bytes.received },
  )
}

function partOf({ facts, ms }: FinishedRequest, repository: string) {
  const { address, startedAt } = facts
  return { user: usernameOf(facts), address, repository, startedAt, endedAt: startedAt + ms }
}
