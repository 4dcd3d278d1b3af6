// Follows the freeze file, and ends each freeze in time.

import type { Timetable } from '../async/timetable.ts'
import { follow, type Following, type FollowOptions } from '../files/followed-file.ts'
import { refuseForeign } from '../files/foreign-file.ts'
import { existsFile } from '../files/regular-file.ts'
import { createReloadable } from '../files/reloadable.ts'
import type { Loads, ValueState } from '../files/value-in-force.ts'
import type { Log } from '../observability/log.ts'
import { freezeFileIn, isoTime, isOver, parseFreeze, type Freeze } from './freeze-file.ts'

export interface FreezeInForce extends Following {
  readonly current: Freeze | undefined
  readonly state: ValueState
  readonly loads: Loads
}

export interface FreezeInForceOptions extends Omit<FollowOptions, 'file'> {
  readonly stateDir: string
  readonly timetable: Timetable
  /** Called after each change, also at the end of a freeze. */
  readonly onChange: (freeze: Freeze | undefined) => void
}

// The operator may change the clock during a freeze, so the clock is read this often.
const LOOK_EVERY_MS = 1_000

/** A missing file means that nothing is frozen. A damaged file is logged, and does not prevent the start. */
export async function loadFreeze(options: FreezeInForceOptions): Promise<FreezeInForce> {
  const { stateDir, pollMs, log, timetable, onChange } = options
  const file = freezeFileIn(stateDir)
  const value = createReloadable<Freeze | undefined>({
    file,
    check: refuseForeign,
    parse: (bytes) => parseFreeze(bytes, file),
    initial: undefined,
    isSame: (one, other) =>
      one?.id === other?.id && one?.until === other?.until && one?.holds === other?.holds,
    log,
  })
  let current: Freeze | undefined
  let cancelLook = (): void => undefined

  function look(): void {
    cancelLook()
    const now = timetable.now().getTime()
    const written = value.current
    const next = written === undefined || isOver(written, now) ? undefined : written
    if (next !== undefined) cancelLook = timetable.after(Math.min(next.until - now, LOOK_EVERY_MS), look)
    if (next === current) return
    const previous = current
    current = next
    onChange(next)
    logChange(log, { next, previous, isTimeOver: written !== undefined })
  }

  // The file is usually missing, and reload() would wait some time for a missing file.
  async function reload(): Promise<'changed' | 'unchanged'> {
    const wasRead = value.loads.lastGoodAt !== undefined
    return wasRead || (await existsFile(file)) ? value.reload() : 'unchanged'
  }

  value.onChange(look)
  const following = await follow({ reload }, { file, pollMs, log })
  return {
    get current() {
      return current
    },
    get state() {
      return value.loads.lastGoodAt === undefined && value.loads.failed === 0 ? FRESH : value.state
    },
    loads: value.loads,
    reload: () => following.reload(),
    close: async () => {
      await following.close()
      cancelLook()
    },
  }
}

const FRESH: ValueState = { kind: 'fresh' }

interface Change {
  readonly next: Freeze | undefined
  readonly previous: Freeze | undefined
  readonly isTimeOver: boolean
}

function logChange(log: Log, { next, previous, isTimeOver }: Change): void {
  if (next !== undefined) {
    const { by, holds } = next
    const text =
      holds === 'all' ? 'frozen; all writes wait' : 'frozen; running pushes go on, other writes wait'
    log.info({ event: 'frozen', until: isoTime(next.until), by, holds }, text)
  } else if (previous !== undefined) {
    const reason = isTimeOver ? 'its time is over' : 'thawed by a command'
    log.info({ event: 'thawed', frozenBy: previous.by, reason }, 'thawed; waiting writes go on')
  }
}
