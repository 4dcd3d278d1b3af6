// Limits how many credentials one source may check per second.
// Threat: a remembered login needs no bcrypt check, so a throttled source could guess thousands of times a second.
// So each check takes a token of its source, and right credentials give the token back.

import type { Credentials } from './basic.ts'
import { createCheckTokens, type CheckTokens } from './check-tokens.ts'
import { createKeyedDigest } from './keyed-digest.ts'
import type { Throttle, ThrottleLimit } from './throttle.ts'
import { createRecentMap } from '../collections/recent-map.ts'

export interface Pace {
  connection(source: string): PacedConnection
}

export interface PacedConnection {
  readonly source: string
  /** If the turn must wait, `onWaiting` gets a function to call when the client leaves. */
  turn(credentials: Credentials, onWaiting: (leave: () => void) => void): Promise<Turn>
}

export type Turn =
  | { readonly kind: 'check'; succeeded(): void; failed(): void }
  | { readonly kind: 'gone' }
  | { readonly kind: 'busy' }
  /** The source is throttled, so its request gets no answer. A flood then gains nothing by waiting. */
  | { readonly kind: 'dropped' }

export interface PaceParts {
  readonly limit: ThrottleLimit | 'off'
  readonly throttle: Pick<Throttle, 'retryAfterMs'>
  /** Milliseconds of a clock that never goes back. */
  readonly now: () => number
}

// This allows 864,000 guesses a day, but a throttled source can only guess passwords that were verified from it.
const TOKENS_PER_SECOND = 10

// More than this many logins at once would only wait for the bcrypt threads.
const BURST = 20

// An evicted source gets all its tokens again, but each new address has a full burst anyway.
const MAX_SOURCES = 20_000

export function createPace({ limit, throttle, now }: PaceParts): Pace {
  if (limit === 'off') return { connection: createUnpaced }
  const burst = Math.max(BURST, limit.failures)
  const perMs = Math.max(TOKENS_PER_SECOND / 1000, limit.failures / limit.windowMs)
  const tokens = createRecentMap<CheckTokens>(MAX_SOURCES)
  const digestOf = createKeyedDigest()

  function tokensOf(source: string): CheckTokens {
    const known = tokens.get(source)
    if (known !== undefined) return known
    const created = createCheckTokens({ burst, perMs, now })
    tokens.set(source, created)
    return created
  }

  function connection(source: string): PacedConnection {
    let provenDigest: string | undefined
    let hasFailed = false

    async function turn(credentials: Credentials, onWaiting: (leave: () => void) => void): Promise<Turn> {
      const { username, password } = credentials
      const sourceTokens = tokensOf(source)
      const digest = (): string => digestOf([username, password])
      const lane = hasFailed ? 'repeated' : 'fresh'
      const failed = (): void => {
        hasFailed = true
        provenDigest = undefined
      }
      if (!sourceTokens.take(lane)) {
        // Credentials that were right on this connection are not a guess.
        if (provenDigest !== undefined && provenDigest === digest()) {
          return { kind: 'check', succeeded: () => undefined, failed }
        }
        const outcome = await sourceTokens.wait(lane, onWaiting)
        if (outcome === 'gone') return { kind: 'gone' }
        if (outcome === 'late') {
          return { kind: throttle.retryAfterMs({ source, username }) > 0 ? 'dropped' : 'busy' }
        }
        provenDigest = undefined
      }
      const succeeded = (): void => {
        provenDigest ??= digest()
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
