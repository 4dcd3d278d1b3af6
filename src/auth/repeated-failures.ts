// Recognizes a wrong password that one client sends twice in a row.
// If /token refuses a form, containerd and BuildKit send its password again as Basic credentials. That is one guess.
// If it counted twice, half of the allowed failures would throttle a user.

import type { Credentials } from './basic.ts'
import { createKeyedDigest } from './keyed-digest.ts'
import { createRecentMap } from '../collections/recent-map.ts'

export interface RepeatedFailures {
  /** True only once per refusal, so that a client that repeats one password still reaches the throttle. */
  isSecond(credentials: Credentials, source: string): boolean
  refused(credentials: Credentials, source: string): void
}

export interface RepeatedFailuresParts {
  /** The user table in force. A new table may accept credentials that an earlier one refused. */
  readonly table: () => object
  /** Milliseconds of a clock that never goes back. */
  readonly now: () => number
}

// The second request follows at once, but its connection may have to wait.
const REPETITION_MS = 5_000

const MAX_REFUSED = 20_000

export function createRepeatedFailures({ table, now }: RepeatedFailuresParts): RepeatedFailures {
  const refusedAt = createRecentMap<number>(MAX_REFUSED)
  const digestOf = createKeyedDigest()
  let lastTable = table()

  function keyOf({ username, password }: Credentials, source: string): string {
    if (table() !== lastTable) refusedAt.clear()
    lastTable = table()
    return digestOf([source, username, password])
  }

  return {
    isSecond: (credentials, source) => {
      const key = keyOf(credentials, source)
      const isSecond = now() - (refusedAt.get(key) ?? -Infinity) < REPETITION_MS
      refusedAt.delete(key)
      return isSecond
    },
    refused: (credentials, source) => {
      refusedAt.set(keyOf(credentials, source), now())
    },
  }
}
