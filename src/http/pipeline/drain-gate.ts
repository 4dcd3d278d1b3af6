// Decides what may begin during a stop, and waits for transfers.
// Threat: if refused requests counted too, a client without a login could delay every stop.

import { setTimeout as pause } from 'node:timers/promises'
import type { Transfers } from './transfers.ts'

/** `leaving`: each answer ends its connection. `stopping`: requests that would begin something are refused. */
export type DrainPhase = 'open' | 'leaving' | 'stopping'

export interface DrainGate {
  readonly phase: DrainPhase
  readonly inFlight: number
  /** Counts a login as in flight while it is checked, and a write while it waits. */
  counting<T>(work: Promise<T>): Promise<T>
  begin(phase: Exclude<DrainPhase, 'open'>): void
  /** Resolves when nothing has been in flight for a second. If `stopping`, at once if nothing is. */
  drained(): Promise<void>
}

export interface CountedTransfers extends Pick<Transfers, 'begun'> {
  readonly open: Pick<Transfers['open'], 'size'>
}

// A push is quiet between PATCH and PUT. We count looks, because time also passes while the process is suspended.
const QUIET_LOOKS = 10
const LOOK_EVERY_MS = 100

export function createDrainGate(transfers: CountedTransfers): DrainGate {
  let pending = 0
  let phase: DrainPhase = 'open'

  const inFlight = (): number => transfers.open.size + pending

  return {
    get phase() {
      return phase
    },
    get inFlight() {
      return inFlight()
    },
    counting(work) {
      pending += 1
      return work.finally(() => {
        pending -= 1
      })
    },
    begin(next) {
      phase = next
    },
    async drained() {
      // When leaving, a client may still send a request on a connection whose last answer did not announce the end.
      if (phase === 'stopping' && inFlight() === 0) return
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
