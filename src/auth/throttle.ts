// Counts failed logins per source, and per source and name. Not rate-limiter-flexible: its memory limiter keeps a
// timer for every key and has no bound, so a flood from many addresses would fill the memory it is to protect.
//
// Only failures that cost a bcrypt are counted. Malformed credentials and too long passwords guess nothing, and were
// they counted, an attacker could fill the tables for nothing. Attempts that were refused because of the limit do not
// count either: otherwise one client that never stops would lock the rest of its network out for good.

import { LRUCache } from 'lru-cache'
import { createKeyedDigest } from './keyed-digest.ts'

/** So many failures of one source within so long; the window begins with the first of them. */
export interface ThrottleLimit {
  readonly failures: number
  readonly windowMs: number
}

/** Who tries: never a name alone, or anybody could lock a user out. */
export interface Tried {
  readonly source: string
  readonly username: string
}

export interface Throttle {
  /** Milliseconds until this source may try this name again; 0 when it may now. */
  retryAfterMs(tried: Tried): number
  /** Whether this source has failed within the last ten windows. */
  hasFailed(source: string): boolean
  failed(tried: Tried): void
  succeeded(tried: Tried): void
  /** Entries in each table; for tests and figures. */
  readonly sizes: { readonly sources: number; readonly pairs: number }
}

interface Count {
  readonly failures: number
  readonly endsAt: number
}

// Each entry is a failure that cost a bcrypt: at cost 10 four threads compute 3,400 of them in a minute, so within the
// default window no count that matters is evicted. Where windows are longer or costs lower, forgetting begins with the
// source seen least recently, and whoever has 20,000 addresses to push others out gains little: each brings its own
// 20 guesses. Both tables together take 8 MiB then.
const MAX_COUNTS = 20_000

// One name that one source gets wrong again and again, for ten windows three times as often as it may in one, is a
// client with an outdated password or a patient guess. It waits by itself then, and no longer uses up what those who
// share its address may fail.
const PAIR_FAILURES = 3
const PAIR_WINDOWS = 10

// A flood from many sources may not get through them all in one window.
const MEMORY_WINDOWS = 10

/** @param now milliseconds of a clock that never goes back */
export function createThrottle(limit: ThrottleLimit | 'off', now: () => number): Throttle {
  return limit === 'off' ? createNoThrottle() : createCountingThrottle(limit, now)
}

function createCountingThrottle({ failures, windowMs }: ThrottleLimit, now: () => number): Throttle {
  const sources = new LRUCache<string, Count>({ max: MAX_COUNTS })
  const pairs = new LRUCache<string, Count>({ max: MAX_COUNTS })
  // A name may be as long as a request's head, and may be a password in the wrong field: a digest stands for it. Names
  // that do not exist count like those that do, or the limit would tell which exist.
  const digestOf = createKeyedDigest()
  const pairOf = ({ source, username }: Tried): string => digestOf([source, username])

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
    retryAfterMs: (tried) =>
      Math.max(
        waitOf(sources.get(tried.source), failures),
        waitOf(pairs.get(pairOf(tried)), failures * PAIR_FAILURES),
      ),
    hasFailed: (source) => {
      const count = sources.peek(source)
      return count !== undefined && now() < count.endsAt + windowMs * (MEMORY_WINDOWS - 1)
    },
    failed: (tried) => {
      add(sources, tried.source, windowMs)
      add(pairs, pairOf(tried), windowMs * PAIR_WINDOWS)
    },
    // Only the pair is forgotten. Were the source forgotten too, an attacker with an account of his own could guess
    // at the others for ever, with a login of his own now and then.
    succeeded: (tried) => {
      pairs.delete(pairOf(tried))
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
