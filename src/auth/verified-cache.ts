// Remembers which credentials were right, so that a push of a hundred requests costs one bcrypt.

import { createHmac, randomBytes } from 'node:crypto'
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
  const key = randomBytes(32)
  const verified = new LRUCache<string, true>({ max: MAX_REMEMBERED, ttl: ttlMs === 'off' ? 1 : ttlMs })
  const inFlight = new Map<string, Promise<boolean | 'busy'>>()

  async function verify<T extends boolean | 'busy'>(
    attempt: Attempt,
    check: () => Promise<T>,
  ): Promise<T | true> {
    const digest = digestOf(attempt, key)
    if (ttlMs !== 'off' && verified.get(digest) === true) return true
    const shared = inFlight.get(digest) as Promise<T> | undefined
    if (shared !== undefined) return shared
    const checking = check()
    inFlight.set(digest, checking)
    try {
      const outcome = await checking
      if (outcome === true && ttlMs !== 'off') verified.set(digest, true)
      return outcome
    } finally {
      inFlight.delete(digest)
    }
  }

  return { verify }
}

// The stored hash is part of the key, so that a changed or removed entry forgets itself. Lengths stand before the
// parts: without them user "a" with "b:c" would be user "a:b" with "c". The key dies with the process: a copy of
// this memory is no list to try passwords against elsewhere.
function digestOf({ username, hash, password }: Attempt, key: Buffer): string {
  const hmac = createHmac('sha256', key)
  for (const part of [username, hash, password]) {
    hmac.update(`${Buffer.byteLength(part)}:`).update(part)
  }
  return hmac.digest('base64')
}
