// Holds writes while a freeze is in force.

import { SYSTEM_TIMETABLE, type Timetable } from '../async/timetable.ts'
import type { Following, FollowOptions } from '../files/followed-file.ts'
import type { ValueState } from '../files/value-in-force.ts'
import { createProgressReports } from './freeze-progress.ts'
import { loadFreeze } from './freeze-in-force.ts'
import type { Freeze } from './freeze-file.ts'
import { createRunningPushes, NO_PUSH, QUIET_MS, type WriteEnding } from './running-pushes.ts'
import { createWaitingWrites, type Waiter, type WaitOutcome } from './waiting-writes.ts'

export interface WriteFreeze extends Following {
  readonly isFrozen: boolean
  readonly status: FreezeStatus
  /** Stale if the freeze file is unusable. */
  readonly state: ValueState
  /** `push` names the push that the write belongs to. */
  mayGoOn(push: string): boolean
  wait(waiter: Waiter): Promise<WaitOutcome>
  /** Call the returned function once, when the write has ended. */
  begin(push: string): (outcome: WriteOutcome) => void
  /** Refuses waiting writes, because the sidecar stops. */
  stop(): void
}

/** `completes-push`: a tag was written. */
export type WriteOutcome = 'completes-push' | 'other'

export interface FreezeStatus {
  readonly freeze: Freeze | undefined
  readonly runningPushes: number
  readonly waitingWrites: number
  /** Since the start. */
  readonly refusedWrites: number
}

export interface FreezeClock {
  readonly timetable?: Timetable
  /** Milliseconds that never go back. */
  readonly monotonicMs?: () => number
}

export interface WriteFreezeOptions extends FreezeClock, Omit<FollowOptions, 'file'> {
  readonly stateDir: string
}

export async function openWriteFreeze(options: WriteFreezeOptions): Promise<WriteFreeze> {
  const { stateDir, log, timetable = SYSTEM_TIMETABLE, monotonicMs = () => performance.now() } = options
  const pushes = createRunningPushes(monotonicMs)
  const waiting = createWaitingWrites(timetable)
  const counts = () => ({ pushes: pushes.count(), waiting: waiting.count })
  const progress = createProgressReports({ stateDir, counts, log })
  let freezeId: string | undefined
  let frozenSince = 0
  const inForce = await loadFreeze({
    ...options,
    timetable,
    onChange: (freeze) => {
      if (freeze?.id !== freezeId) frozenSince = monotonicMs()
      freezeId = freeze?.id
      progress.follow(freeze)
      if (freeze === undefined) waiting.releaseAll()
    },
  })

  // In the first 15 s of a freeze, a client may begin another push to the same repository. Later, that push waits.
  // Otherwise a client that pushes without a pause would delay the freeze forever.
  function endingOf(outcome: WriteOutcome): WriteEnding {
    const isLate = inForce.current !== undefined && monotonicMs() - frozenSince >= QUIET_MS
    return isLate && outcome === 'completes-push' ? 'push-ended' : 'push-goes-on'
  }

  return {
    get isFrozen() {
      return inForce.current !== undefined
    },
    get status() {
      const { count: waitingWrites, refused: refusedWrites } = waiting
      return { freeze: inForce.current, runningPushes: pushes.count(), waitingWrites, refusedWrites }
    },
    get state() {
      return inForce.state
    },
    mayGoOn(push) {
      const { current } = inForce
      if (current === undefined) return true
      return current.holds === 'new-pushes' && push !== NO_PUSH && pushes.has(push)
    },
    wait: (waiter) => waiting.wait(waiter),
    begin(push) {
      const end = pushes.begin(push)
      return (outcome) => {
        end(endingOf(outcome))
      }
    },
    stop: () => {
      waiting.stop()
    },
    reload: () => inForce.reload(),
    close: async () => {
      waiting.stop()
      await inForce.close()
      await progress.close()
    },
  }
}
