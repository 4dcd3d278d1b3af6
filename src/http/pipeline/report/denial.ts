// Finds the action and the place of a denied request.

import type { FinishedRequest } from './finished-request.ts'
import { placeOf } from './place.ts'

export interface Denial {
  readonly action: string | undefined
  readonly repository: string | undefined
  readonly tag: string | undefined
  readonly digest: string | undefined
  readonly path: string | undefined
}

/** Only a refusal by the sidecar has a reason. A refusal before the login has no subject. */
export function isDenied({ facts, status }: Pick<FinishedRequest, 'facts' | 'status'>): boolean {
  return status === 403 && facts.subject !== undefined && facts.reason !== undefined
}

export function denialOf({
  facts: { missing },
  method,
  target,
}: Pick<FinishedRequest, 'facts' | 'method' | 'target'>): Denial {
  const { repository, tag, digest, path } = placeOf(method, target)
  return {
    action: missing?.action ?? ACTION_OF[method],
    repository: missing?.repository ?? repository,
    tag,
    digest,
    path,
  }
}

// For denials without a missing right, such as those of immutable tags.
const ACTION_OF: Readonly<Record<string, string>> = { PUT: 'push', DELETE: 'delete' }
