// Who may have a bcrypt, and when: the queue in front of the pool.
//
// Sources take turns, so a login waits at most for the checks that are running and one of each other source, however
// many attempts a flood brings along. Sources that have not failed lately go first: hundreds of sources that guess at
// once fail once each, and then no longer hold up a user who has the right password. When very many sources that never
// failed overload us together there is no fair way out; then the bound on what waits holds the memory, and the
// deadline sees to it that everybody gets an answer.

import type { Comparison } from './bcrypt.ts'
import { createFairQueue } from './fair-queue.ts'
import type { Throttle } from './throttle.ts'

export interface Attempt {
  /** Where it comes from, as `sourceOf` names it. */
  readonly source: string
  readonly username: string
  readonly comparison: Comparison
  /** This source has proved this password not long ago: it need not wait because others there have failed. */
  readonly isProven: boolean
}

export type AttemptOutcome =
  /** The hash at this index of the comparison belongs to the password. */
  | { readonly kind: 'matched'; readonly index: number }
  | { readonly kind: 'unmatched' }
  /** Too many wait, or this one has waited for too long. No bcrypt was run. */
  | { readonly kind: 'busy' }
  /** The source failed too often lately. No bcrypt was run. */
  | { readonly kind: 'throttled'; readonly retryAfterMs: number }

export interface Attempts {
  /** Rejects only when the check itself met a fault, which says nothing about the password. */
  run(attempt: Attempt): Promise<AttemptOutcome>
  /** Ends what waits as `busy`, and takes no more. What is running is the pool's to end. */
  close(): void
}

export interface AttemptsParts {
  readonly throttle: Throttle
  /** The index of the hash that matched, or -1; `busy` when the pool is closing. */
  readonly compare: (comparison: Comparison) => Promise<number | 'busy'>
  /** How many comparisons can run at once. */
  readonly threads: number
}

// `docker login` gives up after 15 s. This leaves time for the check itself and the registry's answer.
const DEADLINE_MS = 10_000

// At cost 10 a thread gets through about this many before the deadline. A hundred CI runners behind one address that
// begin at the same moment all fit.
const MAX_WAITING_PER_THREAD = 128

// An attempt is a few hundred bytes beside the connection that waits for it.
const MAX_WAITING = 1024

const BUSY: AttemptOutcome = { kind: 'busy' }

interface Waiting {
  readonly attempt: Attempt
  readonly settle: (outcome: AttemptOutcome | Promise<AttemptOutcome>) => void
  readonly timer: NodeJS.Timeout
}

export function createAttempts({ throttle, compare, threads }: AttemptsParts): Attempts {
  const queue = createFairQueue<Waiting>({
    total: MAX_WAITING,
    perSource: Math.min(MAX_WAITING, MAX_WAITING_PER_THREAD * threads),
    isFavored: (source) => !throttle.hasFailed(source),
  })
  let running = 0
  let isClosed = false

  function run(attempt: Attempt): Promise<AttemptOutcome> {
    if (isClosed) return Promise.resolve(BUSY)
    const throttled = throttledOutcome(throttle, attempt)
    if (throttled !== undefined) return Promise.resolve(throttled)
    return new Promise((resolve) => {
      const waiting: Waiting = { attempt, settle: resolve, timer: setTimeout(expire, DEADLINE_MS) }
      function expire(): void {
        queue.remove(attempt.source, waiting)
        resolve(BUSY)
      }
      const dropped = queue.push(attempt.source, waiting)
      if (dropped !== undefined) giveUp(dropped)
      startWhatCan()
    })
  }

  function startWhatCan(): void {
    while (running < threads) {
      const next = queue.shift()
      if (next === undefined) return
      clearTimeout(next.timer)
      next.settle(throttledOutcome(throttle, next.attempt) ?? start(next.attempt))
    }
  }

  async function start({ comparison, ...tried }: Attempt): Promise<AttemptOutcome> {
    running += 1
    try {
      const index = await compare(comparison)
      if (index === 'busy') return BUSY
      if (index >= 0) {
        throttle.succeeded(tried)
        return { kind: 'matched', index }
      }
      throttle.failed(tried)
      return { kind: 'unmatched' }
    } finally {
      running -= 1
      startWhatCan()
    }
  }

  function close(): void {
    isClosed = true
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) giveUp(next)
  }

  return { run, close }
}

// Asked when an attempt arrives, so that a flood does not even wait, and again when its turn comes: of attempts that
// arrive together none has failed yet. Those that wait or run do not count, for they may all be right.
function throttledOutcome(throttle: Throttle, tried: Attempt): AttemptOutcome | undefined {
  const retryAfterMs = tried.isProven ? 0 : throttle.retryAfterMs(tried)
  return retryAfterMs > 0 ? { kind: 'throttled', retryAfterMs } : undefined
}

function giveUp({ timer, settle }: Waiting): void {
  clearTimeout(timer)
  settle(BUSY)
}
