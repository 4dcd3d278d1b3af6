// Counts what a stop has to wait for, and knows when nothing new may begin.
//
// Only what a user is let in for counts, and logins for as long as they are checked. Did everything count that is answered,
// a stranger could hold up every stop until its deadline: by asking on and on, or by reading none of the answers.

import { setTimeout as pause } from 'node:timers/promises'
import type { Step } from './step.ts'

export interface DrainGate {
  readonly isDraining: boolean
  /** Requests that were let in and are not over, and logins that are being checked. */
  readonly inFlight: number
  /** A request that was let in begins; the returned function, to be called once, says that it is over. */
  enter(): () => void
  /** Counts until it is settled, and is no reason to wait longer when nothing comes of it. */
  checking<T>(login: Promise<T>): Promise<T>
  /** From now on only what finishes an upload may begin. */
  beginDrain(): void
  /** Resolves when nothing has been in flight for a moment, or at once when nothing was. */
  drained(): Promise<void>
}

// A push is several requests: between PATCH and PUT nothing is in flight, and closing just then would lose the blob. So
// a second has to pass. Looks are counted, not milliseconds: when this process itself stood still for that second, the
// next request may have come, and lie unread in its socket.
const QUIET_LOOKS = 10
const LOOK_EVERY_MS = 100

export function createDrainGate(): DrainGate {
  let inFlight = 0
  let isDraining = false
  let quietLooks = 0

  return {
    get isDraining() {
      return isDraining
    },
    get inFlight() {
      return inFlight
    },
    enter() {
      inFlight += 1
      quietLooks = 0
      return () => {
        inFlight -= 1
      }
    },
    checking(login) {
      inFlight += 1
      return login.finally(() => {
        inFlight -= 1
      })
    },
    beginDrain() {
      isDraining = true
    },
    async drained() {
      if (inFlight === 0) return
      for (quietLooks = 0; quietLooks < QUIET_LOOKS;) {
        // When the deadline was not kept, this ends nothing's life by lasting longer.
        await pause(LOOK_EVERY_MS, undefined, { ref: false })
        if (inFlight === 0) quietLooks += 1
      }
    },
  }
}

/** Counts a request until its answer is over. Stands behind what lets it in, and passes on none whose client has left. */
export function countInFlight(gate: DrainGate): Step {
  return async function countRequest(c, next) {
    c.env.outgoing.once('close', gate.enter())
    await next()
    return undefined
  }
}
