// The tokens that one source pays its password checks with.

export interface CheckTokens {
  /** Whether there was a token. It is taken then. */
  take(lane: Lane): boolean
  /** Takes the next one. `whenGone` is handed what to call when nobody waits for it any more. */
  wait(lane: Lane, whenGone: (leave: () => void) => void): Promise<'taken' | 'gone' | 'late'>
  giveBack(): void
}

/** `repeated` is for connections on which credentials were wrong before. */
export type Lane = 'fresh' | 'repeated'

export interface CheckTokensOptions {
  /** As many there are at first, and at most. */
  readonly burst: number
  readonly perMs: number
  /** Milliseconds of a clock that never goes back. */
  readonly now: () => number
}

// Left for connections on which nothing has failed yet. A user who shares the address of a flood gets through with a
// new connection, as docker opens one for each request, while those that guess wait on theirs.
const LEFT_BY: Readonly<Record<Lane, number>> = { fresh: 0, repeated: 5 }

// As long as a login waits for a bcrypt. Cutting guesses off sooner would make them come back sooner, each with a TLS
// handshake, which costs more than letting them wait. A connection has one request at a time, so the limits on
// connections bound what waits.
const MAX_WAIT_MS = 10_000

const LOOK_EVERY_MS = 100

interface Waiting {
  readonly since: number
  readonly settle: (outcome: 'taken' | 'gone' | 'late') => void
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
    if (tokens < 1 + LEFT_BY[lane]) return false
    tokens -= 1
    return true
  }

  // Newest first: a user's login need not wait behind all that a flood brought before it.
  function serve(lane: Lane): void {
    while (lanes[lane].length > 0 && take(lane)) lanes[lane].pop()?.settle('taken')
  }

  function giveUpOldest(lane: Waiting[]): void {
    const firstToStay = lane.findIndex(({ since }) => now() - since < MAX_WAIT_MS)
    for (const { settle } of lane.splice(0, firstToStay < 0 ? lane.length : firstToStay)) settle('late')
  }

  function serveAll(): void {
    serve('fresh')
    serve('repeated')
  }

  // Nothing that waits here keeps the process alive: it has not been let in.
  function lookLater(): void {
    timer ??= setTimeout(look, LOOK_EVERY_MS).unref()
  }

  function look(): void {
    timer = undefined
    giveUpOldest(lanes.fresh)
    giveUpOldest(lanes.repeated)
    serveAll()
    if (lanes.fresh.length + lanes.repeated.length > 0) lookLater()
  }

  return {
    take,
    wait: (lane, whenGone) =>
      new Promise((settle) => {
        const waiting: Waiting = { since: now(), settle }
        lanes[lane].push(waiting)
        lookLater()
        whenGone(() => {
          const index = lanes[lane].indexOf(waiting)
          if (index >= 0) lanes[lane].splice(index, 1)
          settle('gone')
        })
      }),
    giveBack: () => {
      tokens += 1
      serveAll()
    },
  }
}
