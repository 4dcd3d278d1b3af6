// Remembers which credentials were right, so that a push of a hundred requests costs one bcrypt.

import { LRUCache } from 'lru-cache'

import { createKeyedDigest } from './keyed-digest.ts'

// Threat: what one source proved must not be found by another. A source that is throttled would otherwise learn that
// its guess is right, if the user has logged in from elsewhere.
/** What was compared: a username with a stored hash and the password that was sent for it, and by whom. */
export interface Verified {
  /** Where it was sent from, as `sourceOf` names it. */
  readonly source: string
  readonly username: string
  readonly password: string
  readonly hash: string
}

/** `lapsed`: it was remembered, and its time was over not long ago. */
export type Recollection = 'remembered' | 'lapsed' | 'none'

/** Successes only: a failure that was remembered could be forgotten, and tried again, by its cost in memory alone. */
export interface VerifiedCache {
  recall(verified: Verified): Recollection
  remember(verified: Verified): void
}

// A login is about 200 bytes here. A fleet has fewer machines, each with the users that log in from it.
const MAX_REMEMBERED = 20_000

/**
 * @param ttlMs how long a success is remembered, however often it is used; `off` remembers nothing
 * @param now milliseconds of a clock that never goes back
 */
export function createVerifiedCache(
  ttlMs: number | 'off',
  now: () => number = () => performance.now(),
): VerifiedCache {
  if (ttlMs === 'off') return { recall: () => 'none', remember: () => undefined }
  const verifiedAt = new LRUCache<string, number>({ max: MAX_REMEMBERED })
  const digestOf = createKeyedDigest()
  // The matched hash is part of the key, so that an entry that was changed or removed is forgotten with it.
  const keyOf = ({ source, username, password, hash }: Verified): string =>
    digestOf([source, username, hash, password])

  return {
    recall: (login) => {
      const age = now() - (verifiedAt.get(keyOf(login)) ?? -Infinity)
      if (age < ttlMs) return 'remembered'
      return age < 2 * ttlMs ? 'lapsed' : 'none'
    },
    remember: (login) => {
      verifiedAt.set(keyOf(login), now())
    },
  }
}
