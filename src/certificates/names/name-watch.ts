// Renews the leaf when this machine gets a name that it lacks.
//
// A lost name waits for the hourly renewal, because it does no harm and may come back.

import type { Timetable } from '../timetable.ts'

export interface NameWatch {
  close(): Promise<void>
}

export interface NameWatchOptions {
  /** Updates what `lacks` looks at. Never rejects. */
  readonly refresh: () => Promise<void>
  readonly lacks: () => boolean
  /** Never rejects. */
  readonly renew: () => Promise<void>
  readonly timetable: Timetable
}

// A new name is in the leaf within a minute. A look costs a third of a millisecond.
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
