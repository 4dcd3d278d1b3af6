// Finds the repository and the reference in the target of a request.

import { isDigest } from '../../../access/repository-name.ts'
import { scopeOf } from '../../../access/scope.ts'

export interface Place {
  /** Says whether PUT or DELETE of this target changes the registry. */
  readonly isChange: boolean
  readonly repository?: string
  readonly tag?: string
  readonly digest?: string
  readonly path?: string
}

const REFERENCE = /\/manifests\/([^/?]+)(?:\?|$)/
const MAX_PATH = 512

export function placeOf(method: string, target: string): Place {
  const scope = scopeOf(method, target)
  // Threat: a client hides a change behind an address that only the registry recognizes.
  if (scope.kind === 'unrecognized')
    return { isChange: true, path: target.split('?', 1)[0]?.slice(0, MAX_PATH) ?? '' }
  if (scope.kind !== 'repository') return { isChange: false }
  const { repository, change } = scope
  if (change?.kind === 'delete-blob') return { isChange: true, repository, digest: change.digest }
  const reference = REFERENCE.exec(target)?.[1]
  if (reference === undefined) return { isChange: false, repository }
  return { isChange: true, repository, ...(isDigest(reference) ? { digest: reference } : { tag: reference }) }
}
