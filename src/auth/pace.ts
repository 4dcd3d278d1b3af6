// How many credentials one source may have checked per second, over all its connections.
//
// Threat: a remembered login is found without a bcrypt. A source that may look thousands of times a second finds the
// password of a user behind the same address, throttled or not. Therefore each check takes a token of its source
// before anything is looked up. Right credentials give it back, so clients that have them never use tokens up.

import { LRUCache } from 'lru-cache'
import type { Credentials } from './basic.ts'
import { createCheckTokens, type CheckTokens } from './check-tokens.ts'
import { createKeyedDigest } from './keyed-digest.ts'
import type { Throttle, ThrottleLimit } from './throttle.ts'

export interface Pace {
  /** To be made once for each connection. */
  connection(source: string): PacedConnection
}

export interface PacedConnection {
  readonly source: string
  /**
   * Resolves once these credentials may be checked, or must not be. Where that takes time, `whenGone` is handed what
   * to call when the client leaves.
   */
  turn(credentials: Credentials, whenGone: (leave: () => void) => void): Promise<Turn>
}

export type Turn =
  /** One of the two is to be called when the outcome of the check is known. */
  | { readonly kind: 'check'; succeeded(): void; failed(): void }
  /** The client left while it waited. */
  | { readonly kind: 'gone' }
  /** It waited too long, and its source is not throttled: many logins came at once. */
  | { readonly kind: 'busy' }
  /** It waited too long, and its source is throttled: each answer would be one more guess. */
  | { readonly kind: 'dropped' }

export interface PaceParts {
  readonly limit: ThrottleLimit | 'off'
  readonly throttle: Pick<Throttle, 'retryAfterMs'>
  /** Milliseconds of a clock that never goes back. */
  readonly now: () => number
}

// 864,000 guesses a day, and only at passwords that were verified from the guessing source itself. Where the throttle
// lets a source fail more often than this, the tokens do too.
const TOKENS_PER_SECOND = 10

// So many logins of one source may be under way at once. More would only wait for the bcrypt threads.
const BURST = 20

// A source that is forgotten has all its tokens again. An attacker with this many addresses gains little: each brings
// a burst of its own.
const MAX_SOURCES = 20_000

export function createPace({ limit, throttle, now }: PaceParts): Pace {
  if (limit === 'off') return { connection: createUnpaced }
  const burst = Math.max(BURST, limit.failures)
  const perMs = Math.max(TOKENS_PER_SECOND / 1000, limit.failures / limit.windowMs)
  const tokens = new LRUCache<string, CheckTokens>({ max: MAX_SOURCES })
  const digestOf = createKeyedDigest()

  function tokensOf(source: string): CheckTokens {
    const known = tokens.get(source)
    if (known !== undefined) return known
    const made = createCheckTokens({ burst, perMs, now })
    tokens.set(source, made)
    return made
  }

  function connection(source: string): PacedConnection {
    let proven: string | undefined
    let hasFailed = false

    async function turn(credentials: Credentials, whenGone: (leave: () => void) => void): Promise<Turn> {
      const { username, password } = credentials
      const own = tokensOf(source)
      const digest = (): string => digestOf([username, password])
      const lane = hasFailed ? 'repeated' : 'fresh'
      const failed = (): void => {
        hasFailed = true
        proven = undefined
      }
      if (!own.take(lane)) {
        // Credentials that were right on this very connection are no guess.
        if (proven !== undefined && proven === digest()) {
          return { kind: 'check', succeeded: () => undefined, failed }
        }
        const outcome = await own.wait(lane, whenGone)
        if (outcome === 'gone') return { kind: 'gone' }
        if (outcome === 'late') {
          return { kind: throttle.retryAfterMs({ source, username }) > 0 ? 'dropped' : 'busy' }
        }
        proven = undefined
      }
      const succeeded = (): void => {
        proven ??= digest()
        own.giveBack()
      }
      return { kind: 'check', succeeded, failed }
    }

    return { source, turn }
  }

  return { connection }
}

function createUnpaced(source: string): PacedConnection {
  const turn: Turn = { kind: 'check', succeeded: () => undefined, failed: () => undefined }
  return { source, turn: () => Promise.resolve(turn) }
}
