// Renews the leaf when this machine gets a new name.
//
// A name that disappears waits for the hourly renewal, because it does no harm and may come back.

import type { Timetable } from '../../async/timetable.ts'

export interface NameWatch {
  close(): Promise<void>
}

export interface NameWatchOptions {
  /** Updates the names of this machine. Never rejects. */
  readonly refresh: () => Promise<void>
  /** Whether the leaf lacks a name of this machine. */
  readonly lacks: () => boolean
  /** Never rejects. */
  readonly renew: () => Promise<void>
  readonly timetable: Timetable
}

// So the leaf contains a new name within a minute. A look takes a third of a millisecond.
const LOOK_EVERY_MS = 30_000

// Addresses may come and go all day, as with a VPN. Above this number, names wait for the hourly renewal.
const MAX_RENEWALS_A_DAY = 24
const LOOKS_A_DAY = 86_400_000 / LOOK_EVERY_MS

export function watchNames({ refresh, lacks, renew, timetable }: NameWatchOptions): NameWatch {
  let [looks, renewals] = [0, 0]
  let isClosed = false
  let looking: Promise<void> = Promise.resolve()
  let cancel = lookLater()

  return {
    async close() {
      isClosed = true
      cancel()
      await looking
    },
  }

  function lookLater(): () => void {
    return timetable.after(LOOK_EVERY_MS, () => {
      looking = look()
    })
  }

  async function look(): Promise<void> {
    // Counts days in looks, so a change of the clock has no effect.
    if (looks++ % LOOKS_A_DAY === 0) renewals = 0
    await refresh()
    if (!isClosed && renewals < MAX_RENEWALS_A_DAY && lacks()) {
      renewals += 1
      await renew()
    }
    if (!isClosed) cancel = lookLater()
  }
}
