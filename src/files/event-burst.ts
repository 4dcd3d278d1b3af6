// Joins file events that follow each other closely into one call.

// A change causes many events. One look is enough, after this long without an event.
const QUIET_MS = 50
// At the latest this long after the first event: changes that never pause must not delay the look for ever.
const LONGEST_MS = 200

export interface Burst {
  /** An event came. */
  readonly extend: () => void
  /** Ends the running burst and ignores later events. */
  readonly cancel: () => void
}

/** Calls `onEnd` once for events that follow each other closely: 50 ms after the last, at most 200 ms after the first. */
export function createBurst(onEnd: () => void): Burst {
  let timer: NodeJS.Timeout | undefined
  let latest = 0
  let isCancelled = false

  return {
    extend() {
      if (isCancelled) return
      const now = performance.now()
      if (timer === undefined) latest = now + LONGEST_MS
      clearTimeout(timer)
      timer = setTimeout(end, Math.max(0, Math.min(QUIET_MS, latest - now)))
    },
    cancel() {
      isCancelled = true
      clearTimeout(timer)
    },
  }

  function end(): void {
    timer = undefined
    onEnd()
  }
}
