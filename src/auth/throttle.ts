// Counts failed logins per source, and per source and name.
// Not rate-limiter-flexible: it keeps a timer per key without a bound, so a flood would fill the memory.
// Malformed credentials do not count, because an attacker could fill the tables at no cost.
// Throttled attempts do not count. Otherwise one client that never stops would lock out its network forever.
// Wrong machine passwords count. Otherwise nothing would slow down a client with an expired machine password.

import { createKeyedDigest } from './keyed-digest.ts'
import { createRecentMap, type RecentMap } from '../collections/recent-map.ts'

export interface ThrottleLimit {
  readonly failures: number
  readonly windowMs: number
}

/** A failure never counts for the name alone. Otherwise anyone could lock that user out. */
export interface SourceAndName {
  readonly source: string
  readonly username: string
}

export interface Throttle {
  retryAfterMs(login: SourceAndName): number
  hasFailed(source: string): boolean
  failed(login: SourceAndName): void
  succeeded(login: SourceAndName): void
  readonly sizes: { readonly sources: number; readonly pairs: number }
}

interface Count {
  readonly failures: number
  readonly endsAt: number
}

// Two full tables take 8 MiB. Four threads check 3,400 passwords a minute, so a table holds 6 minutes of failures.
// To fill a table with wrong machine passwords, an attacker needs 1,000 addresses with 20 failures each.
const MAX_COUNTS = 20_000

// One source may fail three times as often with one name, in ten times the window.
// So a client that slowly repeats an old password does not lock out other users of its address.
const PAIR_FAILURES = 3
const PAIR_WINDOWS = 10

// `hasFailed` stays true for ten windows. In a flood from many sources, each of them fails less than once per window.
const MEMORY_WINDOWS = 10

/** @param now milliseconds of a clock that never goes back */
export function createThrottle(limit: ThrottleLimit | 'off', now: () => number): Throttle {
  return limit === 'off' ? createNoThrottle() : createCountingThrottle(limit, now)
}

function createCountingThrottle({ failures, windowMs }: ThrottleLimit, now: () => number): Throttle {
  const sources = createRecentMap<Count>(MAX_COUNTS)
  const pairs = createRecentMap<Count>(MAX_COUNTS)
  // Threat: a user may type the password as the name, so only digests are stored.
  // Unknown names count too. Otherwise the throttle would show which names exist.
  const digestOf = createKeyedDigest()
  const pairOf = ({ source, username }: SourceAndName): string => digestOf([source, username])

  function waitOf(count: Count | undefined, allowed: number): number {
    return count === undefined || count.failures < allowed ? 0 : Math.max(0, count.endsAt - now())
  }

  function add(counts: RecentMap<Count>, key: string, lengthMs: number): void {
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
    // Threat: an attacker who has an account must not reset the count of the source by logging in.
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
