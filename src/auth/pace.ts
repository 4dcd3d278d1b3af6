// Limits how many credentials one source may check per second.
//
// Threat: a remembered login needs no bcrypt check. A source that checks thousands of passwords a second would find
// the password of a user behind the same address, even while it is throttled. So each check first takes a token of
// its source. Right credentials give the token back, so clients with the right password never run out.

import { LRUCache } from 'lru-cache'
import type { Credentials } from './basic.ts'
import { createCheckTokens, type CheckTokens } from './check-tokens.ts'
import { createKeyedDigest } from './keyed-digest.ts'
import type { Throttle, ThrottleLimit } from './throttle.ts'

export interface Pace {
  /** Call it once for each connection. */
  connection(source: string): PacedConnection
}

export interface PacedConnection {
  readonly source: string
  /**
   * Resolves once it is known whether these credentials may be checked. If that takes time, `onWaiting` gets a
   * function that the caller must call when the client leaves.
   */
  turn(credentials: Credentials, onWaiting: (leave: () => void) => void): Promise<Turn>
}

export type Turn =
  /** Call one of the two when the outcome of the check is known. */
  | { readonly kind: 'check'; succeeded(): void; failed(): void }
  | { readonly kind: 'gone' }
  /** The turn waited too long because of many logins. The source is not throttled. */
  | { readonly kind: 'busy' }
  /** The turn waited too long, and the source is throttled. Give no answer, because it would allow one more guess. */
  | { readonly kind: 'dropped' }

export interface PaceParts {
  readonly limit: ThrottleLimit | 'off'
  readonly throttle: Pick<Throttle, 'retryAfterMs'>
  /** Milliseconds of a clock that never goes back. */
  readonly now: () => number
}

// That is 864,000 guesses a day, and only at passwords that were verified from the guessing source itself. If the
// throttle allows a source more failures, so do the tokens.
const TOKENS_PER_SECOND = 10

// How many logins of one source may run at once. More would only wait for the bcrypt threads.
const BURST = 20

// A source that is evicted gets all its tokens again. An attacker with this many addresses gains little, because each
// new address has a full burst anyway.
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
    const created = createCheckTokens({ burst, perMs, now })
    tokens.set(source, created)
    return created
  }

  function connection(source: string): PacedConnection {
    let proven: string | undefined
    let hasFailed = false

    async function turn(credentials: Credentials, onWaiting: (leave: () => void) => void): Promise<Turn> {
      const { username, password } = credentials
      const sourceTokens = tokensOf(source)
      const digest = (): string => digestOf([username, password])
      const lane = hasFailed ? 'repeated' : 'fresh'
      const failed = (): void => {
        hasFailed = true
        proven = undefined
      }
      if (!sourceTokens.take(lane)) {
        // Credentials that were right on this connection are not a guess.
        if (proven !== undefined && proven === digest()) {
          return { kind: 'check', succeeded: () => undefined, failed }
        }
        const outcome = await sourceTokens.wait(lane, onWaiting)
        if (outcome === 'gone') return { kind: 'gone' }
        if (outcome === 'late') {
          return { kind: throttle.retryAfterMs({ source, username }) > 0 ? 'dropped' : 'busy' }
        }
        proven = undefined
      }
      const succeeded = (): void => {
        proven ??= digest()
        sourceTokens.giveBack()
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
