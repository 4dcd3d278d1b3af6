// Keeps the last refusals, equal ones as one with a count.
// Threat: a client without a login hides all other refusals behind many of its own.

import type { Refusal } from '../status-snapshot.ts'
import { createRecentMap } from './recent-map.ts'
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
      const { user, address, repository, reference, detail } = names
      const key = JSON.stringify([kind, status, reason, user, address, repository, reference, detail])
      const total = (refusals.get(key)?.count ?? 0) + count
      refusals.set(key, {
        at: new Date().toISOString(),
        kind,
        status,
        reason,
        count: total,
        names: {
          user: shortTextOrNone(user),
          address,
          repository: shortTextOrNone(repository),
          reference: shortTextOrNone(reference),
          detail: shortTextOrNone(detail),
        },
      })
    },
    newestFirst: () => refusals.newestFirst(),
  }
}
