// Renews the leaf when this machine gets a name that it lacks.
//
// When the machine loses a name, the leaf is not renewed at once: an extra name does no harm, it may come back, and the
// hourly check removes it.

import type { Timetable } from '../timetable.ts'

export interface NameWatch {
  /** Waits for a running look. Afterwards names are not checked any more. */
  close(): Promise<void>
}

export interface NameWatchOptions {
  /** Updates what `lacks` looks at. Never rejects. */
  readonly refresh: () => Promise<void>
  /** Whether a wanted name is missing from the leaf in force. */
  readonly lacks: () => boolean
  /** Renews the leaf. Never rejects. */
  readonly renew: () => Promise<void>
  readonly timetable: Timetable
}

// A new name is in the leaf within a minute. A look costs a third of a millisecond.
const LOOK_EVERY_MS = 30_000

// Addresses may come and go all day (a VPN, container networks), and every leaf is work and a log line. After this many
// in a day, new names wait for the hourly look of the leaf renewal.
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
    // Days are counted in looks, so a clock that is set back changes nothing.
    if (looks++ % LOOKS_A_DAY === 0) renewals = 0
    await refresh()
    if (!isClosed && renewals < MAX_RENEWALS_A_DAY && lacks()) {
      renewals += 1
      await renew()
    }
    if (!isClosed) cancel = lookLater()
  }
}
