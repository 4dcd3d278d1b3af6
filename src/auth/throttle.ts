// Counts failed logins per source, and per source and name.
//
// We do not use the package rate-limiter-flexible, because its memory limiter keeps a timer for every key and has no
// bound. A flood from many addresses would fill the memory.
//
// Only failures that cost a bcrypt check count. Malformed credentials and too long passwords are no guesses, and an
// attacker could fill the tables with them at no cost. Throttled attempts do not count either. Otherwise one client
// that never stops would lock out the other users of its network for ever.

import { LRUCache } from 'lru-cache'
import { createKeyedDigest } from './keyed-digest.ts'

/** The most failures of one source per window. The window starts with the first failure. */
export interface ThrottleLimit {
  readonly failures: number
  readonly windowMs: number
}

/**
 * A failure counts for the source, and for the pair of source and name, never for the name alone. Otherwise anyone could
 * lock that user out.
 */
export interface SourceAndName {
  readonly source: string
  readonly username: string
}

export interface Throttle {
  /** Milliseconds until this source may try this name again; 0 when it may now. */
  retryAfterMs(login: SourceAndName): number
  /** Whether this source failed within the last ten windows. */
  hasFailed(source: string): boolean
  failed(login: SourceAndName): void
  succeeded(login: SourceAndName): void
  readonly sizes: { readonly sources: number; readonly pairs: number }
}

interface Count {
  readonly failures: number
  readonly endsAt: number
}

// Each entry is a failure that cost a bcrypt check. At cost 10 four threads run 3,400 checks a minute, so within the
// default window no entry that matters is evicted. With longer windows or lower costs, the least recently seen source
// is evicted first. An attacker with 20,000 addresses gains little by that, because each address has 20 guesses
// anyway. Both full tables together take 8 MiB.
const MAX_COUNTS = 20_000

// A source that fails PAIR_FAILURES times `failures` with one name has an outdated password, or is a patient attacker.
// Then this name alone is throttled for this source, and its failures no longer use up the limit of other users behind
// the address.
const PAIR_FAILURES = 3
const PAIR_WINDOWS = 10

// How many windows `hasFailed` remembers a source. In a flood from many sources, more than one window can pass before
// each source has failed.
const MEMORY_WINDOWS = 10

/** @param now milliseconds of a clock that never goes back */
export function createThrottle(limit: ThrottleLimit | 'off', now: () => number): Throttle {
  return limit === 'off' ? createNoThrottle() : createCountingThrottle(limit, now)
}

function createCountingThrottle({ failures, windowMs }: ThrottleLimit, now: () => number): Throttle {
  const sources = new LRUCache<string, Count>({ max: MAX_COUNTS })
  const pairs = new LRUCache<string, Count>({ max: MAX_COUNTS })
  // Threat: a user may type the password as the name, and a name can be as large as the request head. So we store a
  // digest. Unknown names count like known ones. Otherwise the throttle would show which names exist.
  const digestOf = createKeyedDigest()
  const pairOf = ({ source, username }: SourceAndName): string => digestOf([source, username])

  function waitOf(count: Count | undefined, most: number): number {
    return count === undefined || count.failures < most ? 0 : Math.max(0, count.endsAt - now())
  }

  function add(counts: LRUCache<string, Count>, key: string, lengthMs: number): void {
    const count = counts.get(key)
    const isOver = count === undefined || count.endsAt <= now()
    counts.set(
      key,
      isOver
        ? { failures: 1, endsAt: now() + lengthMs }
        : { failures: count.failures + 1, endsAt: count.endsAt },
    )
  }

  return {
    retryAfterMs: (login) =>
      Math.max(
        waitOf(sources.get(login.source), failures),
        waitOf(pairs.get(pairOf(login)), failures * PAIR_FAILURES),
      ),
    hasFailed: (source) => {
      const count = sources.peek(source)
      return count !== undefined && now() < count.endsAt + windowMs * (MEMORY_WINDOWS - 1)
    },
    failed: (login) => {
      add(sources, login.source, windowMs)
      add(pairs, pairOf(login), windowMs * PAIR_WINDOWS)
    },
    // Threat: an attacker who has an account must not reset the count of the source by logging in. So only the count
    // of this name is deleted.
    succeeded: (login) => {
      pairs.delete(pairOf(login))
    },
    get sizes() {
      return { sources: sources.size, pairs: pairs.size }
    },
  }
}

function createNoThrottle(): Throttle {
  return {
    retryAfterMs: () => 0,
    hasFailed: () => false,
    failed: () => undefined,
    succeeded: () => undefined,
    sizes: { sources: 0, pairs: 0 },
  }
}
