// Remembers which credentials were right, so that a push of a hundred requests costs one bcrypt.

import { hash as digest, randomBytes } from 'node:crypto'
import { LRUCache } from 'lru-cache'

/** What was compared: a username with a stored hash and the password that was sent for it. */
export interface Attempt {
  readonly username: string
  readonly hash: string
  readonly password: string
}

export interface VerifiedCache {
  /**
   * The outcome of `check`, or the remembered success of an equal attempt. Equal attempts that arrive while one is
   * being checked share its outcome. Only `true` is remembered.
   */
  verify<T extends boolean | 'busy'>(attempt: Attempt, check: () => Promise<T>): Promise<T | true>
}

// A login is about 200 bytes here. A fleet has fewer users with fewer valid passwords than this.
const MAX_REMEMBERED = 10_000

/** @param ttlMs how long a success is remembered; `off` remembers nothing, though equal attempts still share */
export function createVerifiedCache(ttlMs: number | 'off'): VerifiedCache {
  const keys = { inner: createKey(), outer: createKey() }
  const verified = new LRUCache<string, true>({ max: MAX_REMEMBERED, ttl: ttlMs === 'off' ? 1 : ttlMs })
  const inFlight = new Map<string, Promise<boolean | 'busy'>>()

  async function verify<T extends boolean | 'busy'>(
    attempt: Attempt,
    check: () => Promise<T>,
  ): Promise<T | true> {
    const key = keyOf(attempt, keys)
    if (ttlMs !== 'off' && verified.get(key) === true) return true
    const shared = inFlight.get(key) as Promise<T> | undefined
    if (shared !== undefined) return shared
    const checking = check()
    inFlight.set(key, checking)
    try {
      const outcome = await checking
      if (outcome === true && ttlMs !== 'off') verified.set(key, true)
      return outcome
    } finally {
      inFlight.delete(key)
    }
  }

  return { verify }
}

interface Keys {
  readonly inner: string
  readonly outer: string
}

// As text of one block of SHA-256 (64 bytes), so that the keyed state is as in HMAC.
function createKey(): string {
  return randomBytes(32).toString('hex')
}

// The stored hash is part of the key, so that a changed or removed entry forgets itself. Lengths stand before the
// parts: without them user "a" with "b:c" would be user "a:b" with "c". The keys die with the process: a copy of
// this memory is no list to try passwords against elsewhere. Two keyed hashes, one in the other, are the
// construction that HMAC comes from (NMAC; RFC 2104 §6); making an Hmac object takes ten times as long.
function keyOf({ username, hash, password }: Attempt, { inner, outer }: Keys): string {
  const parts = `${username.length}:${username}${hash.length}:${hash}${password.length}:${password}`
  return digest('sha256', outer + digest('sha256', inner + parts, 'base64'), 'base64')
}
