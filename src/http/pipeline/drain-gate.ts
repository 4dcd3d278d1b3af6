// Decides what may begin during a stop, and waits for transfers.
// Threat: if refused requests counted too, a client without a login could delay every stop.

import { setTimeout as pause } from 'node:timers/promises'
import type { Transfers } from './transfers.ts'

export interface DrainGate {
  readonly isDraining: boolean
  readonly inFlight: number
  /** Counts the login as in flight only while it is checked. */
  checking<T>(login: Promise<T>): Promise<T>
  beginDrain(): void
  /** Resolves when nothing has been in flight for a second, or at once if nothing is. */
  drained(): Promise<void>
}

export interface CountedTransfers extends Pick<Transfers, 'begun'> {
  readonly open: Pick<Transfers['open'], 'size'>
}

// A push is quiet between PATCH and PUT. We count looks, because time also passes while the process is suspended.
const QUIET_LOOKS = 10
const LOOK_EVERY_MS = 100

export function createDrainGate(transfers: CountedTransfers): DrainGate {
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
        // ref: false, so that the process can exit after the deadline.
        await pause(LOOK_EVERY_MS, undefined, { ref: false })
        if (transfers.begun !== begun) quietLooks = 0
        if (inFlight() === 0) quietLooks += 1
        begun = transfers.begun
      }
    },
  }
}
