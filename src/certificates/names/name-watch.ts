// Notices while running that this machine got a name or an address which the leaf does not carry yet.
//
// A name that is gone is no reason by itself: it may come back, and costs nobody anything until the next regular look.
// Addresses can come and go all day (a VPN, networks of containers), and every new leaf is work and a line in the log:
// so the looks become rarer the more of them there are.

import type { Timetable } from '../timetable.ts'

export interface NameWatch {
  /** Waits for a look under way. Afterwards nothing is looked at. */
  close(): Promise<void>
}

export interface NameWatchOptions {
  /** Brings up to date what `lacks` looks at. Never rejects. */
  readonly refresh: () => Promise<void>
  /** Whether a wanted name is missing from the leaf in force. */
  readonly lacks: () => boolean
  /** Has the leaf renewed. Never rejects. */
  readonly renew: () => Promise<void>
  readonly timetable: Timetable
}

// Costs a third of a millisecond.
const LOOK_EVERY_MS = 15_000

const SHORTEST_PAUSE_MS = 60_000
const LONGEST_PAUSE_MS = 3_600_000

export function watchNames({ refresh, lacks, renew, timetable }: NameWatchOptions): NameWatch {
  const pause = createPause()
  let isClosed = false
  let looking: Promise<void> = Promise.resolve()
  let callOff = lookLater()

  return {
    async close() {
      isClosed = true
      callOff()
      await looking
    },
  }

  function lookLater(): () => void {
    return timetable.after(LOOK_EVERY_MS, () => {
      looking = look()
    })
  }

  async function look(): Promise<void> {
    await refresh()
    const now = timetable.now().getTime()
    if (!isClosed && !pause.isOn(now) && lacks()) {
      pause.begin(now)
      await renew()
    }
    if (!isClosed) callOff = lookLater()
  }
}

// Doubles from time to time, and is short again after one that nothing followed for as long as the longest.
function createPause() {
  let begun = Number.NEGATIVE_INFINITY
  let lengthMs = 0

  return {
    // A clock that was set back must not make it last for hours.
    isOn: (now: number): boolean => now >= begun && now - begun < lengthMs,
    begin(now: number): void {
      // The longest pause itself is no quiet: the look that ends it would always find as much time gone by.
      const isQuiet = Math.abs(now - begun) >= LONGEST_PAUSE_MS + SHORTEST_PAUSE_MS
      lengthMs = isQuiet ? SHORTEST_PAUSE_MS : Math.min(lengthMs * 2, LONGEST_PAUSE_MS)
      begun = now
    },
  }
}
