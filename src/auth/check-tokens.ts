// Limits one source's password checks per second with tokens.

export interface CheckTokens {
  take(lane: Lane): boolean
  wait(lane: Lane, onWaiting: (leave: () => void) => void): Promise<'taken' | 'gone' | 'late'>
  giveBack(): void
}

/** `repeated` is for connections that sent wrong credentials before. */
export type Lane = 'fresh' | 'repeated'

export interface CheckTokensOptions {
  readonly burst: number
  readonly perMs: number
  readonly now: () => number
}

// A lane must leave this many tokens. So a user who shares an attacker's address gets a token on a new connection.
const RESERVED: Readonly<Record<Lane, number>> = { fresh: 0, repeated: 5 }

// This equals the longest wait for a bcrypt check. An earlier refusal would only let an attacker guess again sooner.
const MAX_WAIT_MS = 10_000

const REFILL_EVERY_MS = 100

interface Waiting {
  readonly since: number
  readonly resolve: (outcome: 'taken' | 'gone' | 'late') => void
}

export function createCheckTokens({ burst, perMs, now }: CheckTokensOptions): CheckTokens {
  const lanes: Readonly<Record<Lane, Waiting[]>> = { fresh: [], repeated: [] }
  let tokens = burst
  let filledAt = now()
  let timer: NodeJS.Timeout | undefined

  function take(lane: Lane): boolean {
    const at = now()
    tokens = Math.min(burst, tokens + (at - filledAt) * perMs)
    filledAt = at
    if (tokens < 1 + RESERVED[lane]) return false
    tokens -= 1
    return true
  }

  // Newest first, so that a user's login does not wait behind an earlier flood.
  function serve(lane: Lane): void {
    while (lanes[lane].length > 0 && take(lane)) lanes[lane].pop()?.resolve('taken')
  }

  function endLate(lane: Waiting[]): void {
    const firstNotLate = lane.findIndex(({ since }) => now() - since < MAX_WAIT_MS)
    for (const { resolve } of lane.splice(0, firstNotLate < 0 ? lane.length : firstNotLate)) resolve('late')
  }

  function serveAll(): void {
    serve('fresh')
    serve('repeated')
  }

  // Requests that wait here are not verified, so they must not keep the process alive.
  function scheduleRefill(): void {
    timer ??= setTimeout(refill, REFILL_EVERY_MS).unref()
  }

  function refill(): void {
    timer = undefined
    endLate(lanes.fresh)
    endLate(lanes.repeated)
    serveAll()
    if (lanes.fresh.length + lanes.repeated.length > 0) scheduleRefill()
  }

  return {
    take,
    wait: (lane, onWaiting) =>
      new Promise((resolve) => {
        const waiting: Waiting = { since: now(), resolve }
        lanes[lane].push(waiting)
        scheduleRefill()
        onWaiting(() => {
          const index = lanes[lane].indexOf(waiting)
          if (index >= 0) lanes[lane].splice(index, 1)
          resolve('gone')
        })
      }),
    giveBack: () => {
      tokens += 1
      serveAll()
    },
  }
}
