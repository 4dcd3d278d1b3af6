// Decides what may begin during a stop, and waits for transfers.
//
// Only transfers and running password checks count. If every answered request counted, an unauthenticated client could
// delay every stop until its deadline, by repeated requests or by not reading its answers.

import { setTimeout as pause } from 'node:timers/promises'
import type { Transfers } from './transfers.ts'

export interface DrainGate {
  readonly isDraining: boolean
  /** Transfers in flight and logins that are being checked. */
  readonly inFlight: number
  /** Counts until the login is checked. A failed login does not make a stop wait longer. */
  checking<T>(login: Promise<T>): Promise<T>
  /** From now on only requests that finish an upload may begin. */
  beginDrain(): void
  /** Resolves when nothing has been in flight for a moment, or at once if nothing is. */
  drained(): Promise<void>
}

// A push is several requests: between PATCH and PUT nothing is in flight, and closing then would lose the blob. So a
// second must pass. The gate counts looks, not milliseconds: if this process itself was suspended for that second, the
// next request may lie unread in its socket.
const QUIET_LOOKS = 10
const LOOK_EVERY_MS = 100

export function createDrainGate(transfers: Pick<Transfers, 'open' | 'begun'>): DrainGate {
  let logins = 0
  let isDraining = false

  const inFlight = (): number => transfers.open.size + logins

  return {
    get isDraining() {
      return isDraining
    },
    get inFlight() {
      return inFlight()
    },
    checking(login) {
      logins += 1
      return login.finally(() => {
        logins -= 1
      })
    },
    beginDrain() {
      isDraining = true
    },
    async drained() {
      if (inFlight() === 0) return
      let { begun } = transfers
      for (let quietLooks = 0; quietLooks < QUIET_LOOKS;) {
        // Does not delay the process's exit after the deadline.
        await pause(LOOK_EVERY_MS, undefined, { ref: false })
        if (transfers.begun !== begun) quietLooks = 0
        if (inFlight() === 0) quietLooks += 1
        begun = transfers.begun
      }
    },
  }
}
