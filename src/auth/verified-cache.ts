// Remembers right credentials, so that a hundred requests cost one bcrypt check.

import { createKeyedDigest } from './keyed-digest.ts'
import { createRecentMap } from '../collections/recent-map.ts'

/** Threat: without `source`, a throttled source would learn that its guess is right when the user logs in elsewhere. */
export interface VerifiedLogin {
  readonly source: string
  readonly username: string
  readonly password: string
  readonly hash: string
}

/** `lapsed`: the login was remembered, and expired less than one lifetime ago. */
export type Recollection = 'remembered' | 'lapsed' | 'none'

/** Remembers successes only. An attacker could evict remembered failures and guess again. */
export interface VerifiedCache {
  recall(login: VerifiedLogin): Recollection
  remember(login: VerifiedLogin): void
}

// A login takes about 200 bytes. Even a large installation has fewer pairs of machine and user.
const MAX_REMEMBERED = 20_000

export function createVerifiedCache(
  ttlMs: number | 'off',
  now: () => number = () => performance.now(),
): VerifiedCache {
  if (ttlMs === 'off') return { recall: () => 'none', remember: () => undefined }
  const verifiedAt = createRecentMap<number>(MAX_REMEMBERED)
  const digestOf = createKeyedDigest()
  // The hash is part of the key, so a login is not found after its entry is changed or removed.
  const keyOf = ({ source, username, password, hash }: VerifiedLogin): string =>
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
