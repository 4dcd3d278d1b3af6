// Joins file events that follow each other closely into one call.

const QUIET_MS = 50
// Changes that never pause must not delay the call for ever.
const LONGEST_MS = 200

export interface Burst {
  readonly extend: () => void
  readonly cancel: () => void
}

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
