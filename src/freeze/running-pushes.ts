// Finds out which pushes run, from the writes of the last seconds.
//
// Threat: a registry that collects garbage deletes layers whose manifest has not arrived. So a push that has sent
// layers must be able to send its manifest before garbage collection.

export interface RunningPushes {
  /** The returned function ends the write. Call it once. */
  begin(push: string): (ending: WriteEnding) => void
  /** Whether a write of this push runs, or ended in the last 15 s. */
  has(push: string): boolean
  count(): number
}

/** `push-ended`: no further write of this push is expected. */
export type WriteEnding = 'push-goes-on' | 'push-ended'

/** For writes that belong to no repository. Each counts as a push only while it runs. */
export const NO_PUSH = ''

export const QUIET_MS = 15_000

// Threat: a client writes to many repositories and fills the memory. So the oldest pushes are forgotten.
const MAX_QUIET = 10_000

/** `now` is in milliseconds and must not go back. */
export function createRunningPushes(now: () => number): RunningPushes {
  const writes = new Map<string, number>()
  // When the last write of each push ended; oldest first.
  const quietSince = new Map<string, number>()

  function end(push: string, ending: WriteEnding): void {
    const left = (writes.get(push) ?? 1) - 1
    if (left > 0) {
      writes.set(push, left)
      return
    }
    writes.delete(push)
    if (push !== NO_PUSH && ending === 'push-goes-on') quietSince.set(push, now())
    forgetOld()
  }

  function forgetOld(): void {
    for (const [push, since] of quietSince) {
      if (now() - since < QUIET_MS && quietSince.size <= MAX_QUIET) return
      quietSince.delete(push)
    }
  }

  return {
    begin(push) {
      writes.set(push, (writes.get(push) ?? 0) + 1)
      quietSince.delete(push)
      return (ending) => {
        end(push, ending)
      }
    },
    has(push) {
      if (push === NO_PUSH) return false
      const since = quietSince.get(push)
      return writes.has(push) || (since !== undefined && now() - since < QUIET_MS)
    },
    count() {
      forgetOld()
      return writes.size + quietSince.size
    },
  }
}
