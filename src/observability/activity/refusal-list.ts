// Keeps the last refusals, and counts equal refusals in one entry.
// Threat: a client without a login causes many refusals, so that the list loses all others.

import type { Names, Refusal } from '../status-snapshot.ts'
import { createRecentMap } from '../../collections/recent-map.ts'
import { shortTextOrNone } from './short-text.ts'

const MAX_REFUSALS = 200

export interface Refusals {
  /** `count` is 1 if undefined. */
  add(refusal: Omit<Refusal, 'at'>): void
  newestFirst(): readonly Refusal[]
}

export function createRefusals(): Refusals {
  const refusals = createRecentMap<Refusal>(MAX_REFUSALS)
  return {
    add: ({ kind, status, reason, count = 1, names = {} }) => {
      const refusal = { kind, status, reason, names: shortNames(names) }
      const key = JSON.stringify(refusal)
      const total = (refusals.get(key)?.count ?? 0) + count
      refusals.set(key, { at: new Date().toISOString(), ...refusal, count: total })
    },
    newestFirst: () => refusals.newestFirst(),
  }
}

function shortNames({ user, address, repository, reference, detail }: Names): Names {
  return {
    user: shortTextOrNone(user),
    address,
    repository: shortTextOrNone(repository),
    reference: shortTextOrNone(reference),
    detail: shortTextOrNone(detail),
  }
}
