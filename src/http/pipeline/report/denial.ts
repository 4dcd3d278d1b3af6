// Finds out what a denied request wanted to do.

import type { FinishedRequest } from './finished-request.ts'
import { placeOf } from './place.ts'

export interface Denial {
  readonly action: string | undefined
  readonly repository: string | undefined
  readonly tag: string | undefined
  readonly digest: string | undefined
  readonly path: string | undefined
}

/** A refusal of the sidecar has a reason, and one before the login has no subject. */
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

// For denials that concern no single right, such as those of immutable tags.
const ACTION_OF: Readonly<Record<string, string>> = { PUT: 'push', DELETE: 'delete' }
