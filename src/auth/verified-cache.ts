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

/** Successes only: a failure that was remembered could be forgotten, and tried again, by its cost in memory alone. */
export interface VerifiedCache {
  has(verified: Verified): boolean
  remember(verified: Verified): void
}

// A login is about 200 bytes here. A fleet has fewer machines, each with the users that log in from it.
const MAX_REMEMBERED = 20_000

/** @param ttlMs how long a success is remembered, however often it is used; `off` remembers nothing */
export function createVerifiedCache(ttlMs: number | 'off'): VerifiedCache {
  if (ttlMs === 'off') return { has: () => false, remember: () => undefined }
  const verified = new LRUCache<string, true>({ max: MAX_REMEMBERED, ttl: ttlMs })
  const digestOf = createKeyedDigest()
  // The matched hash is part of the key, so that an entry that was changed or removed is forgotten with it.
  const keyOf = ({ source, username, password, hash }: Verified): string =>
    digestOf([source, username, hash, password])

  return {
    has: (login) => verified.get(keyOf(login)) === true,
    remember: (login) => {
      verified.set(keyOf(login), true)
    },
  }
}
