// Limits and schedules bcrypt checks.
// Threat: a flood of guesses must not delay users. So sources take turns. Sources without recent failures go first.
// Very many new sources can still fill the queue, but its limits bound memory and waiting time.

import type { Comparison } from './bcrypt.ts'
import { createFairQueue } from './fair-queue.ts'
import type { Throttle } from './throttle.ts'

export interface Attempt {
  readonly source: string
  readonly username: string
  readonly comparison: Comparison
  /** This source proved this password recently, so the throttle does not apply. */
  readonly isProven: boolean
}

export type AttemptOutcome =
  | { readonly kind: 'matched'; readonly index: number }
  | { readonly kind: 'unmatched' }
  | { readonly kind: 'busy' }
  | { readonly kind: 'throttled'; readonly retryAfterMs: number }

export interface Attempts {
  run(attempt: Attempt): Promise<AttemptOutcome>
  waiting(): number
  close(): void
}

export interface AttemptsParts {
  readonly throttle: Throttle
  readonly compare: (comparison: Comparison) => Promise<number | 'busy'>
  readonly threads: number
  readonly onTurn?: (waitedMs: number) => void
}

// `docker login` gives up after 15 s, and the registry needs time for its answer.
const DEADLINE_MS = 10_000

// A thread checks this many passwords of cost 10 before the deadline, enough for 100 CI runners behind one address.
const MAX_WAITING_PER_THREAD = 128

const MAX_WAITING = 1024

const BUSY: AttemptOutcome = { kind: 'busy' }

interface Waiting {
  readonly attempt: Attempt
  readonly resolve: (outcome: AttemptOutcome | Promise<AttemptOutcome>) => void
  readonly timer: NodeJS.Timeout
  readonly since: number
}

export function createAttempts({ throttle, compare, threads, onTurn }: AttemptsParts): Attempts {
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
      const timer = setTimeout(expire, DEADLINE_MS)
      const waiting: Waiting = { attempt, resolve, timer, since: performance.now() }
      function expire(): void {
        queue.remove(attempt.source, waiting)
        resolve(BUSY)
      }
      const dropped = queue.push(attempt.source, waiting)
      if (dropped !== undefined) endAsBusy(dropped)
      startNext()
    })
  }

  function startNext(): void {
    while (running < threads) {
      const next = queue.shift()
      if (next === undefined) return
      clearTimeout(next.timer)
      onTurn?.(performance.now() - next.since)
      next.resolve(throttledOutcome(throttle, next.attempt) ?? start(next.attempt))
    }
  }

  async function start({ comparison, ...login }: Attempt): Promise<AttemptOutcome> {
    running += 1
    try {
      const index = await compare(comparison)
      if (index === 'busy') return BUSY
      if (index >= 0) {
        throttle.succeeded(login)
        return { kind: 'matched', index }
      }
      throttle.failed(login)
      return { kind: 'unmatched' }
    } finally {
      running -= 1
      startNext()
    }
  }

  function close(): void {
    isClosed = true
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) endAsBusy(next)
  }

  return { run, waiting: () => queue.size, close }
}

// Called on arrival, so that a flood does not fill the queue. Called again at the turn, after other attempts failed.
function throttledOutcome(throttle: Throttle, attempt: Attempt): AttemptOutcome | undefined {
  const retryAfterMs = attempt.isProven ? 0 : throttle.retryAfterMs(attempt)
  return retryAfterMs > 0 ? { kind: 'throttled', retryAfterMs } : undefined
}

function endAsBusy({ timer, resolve }: Waiting): void {
  clearTimeout(timer)
  resolve(BUSY)
}
