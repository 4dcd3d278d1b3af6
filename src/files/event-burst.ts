// Joins file events that follow each other closely into one call.

const QUIET_MS = 50
// Changes that never pause must not delay the call forever.
const MAX_DELAY_MS = 200

export interface Burst {
  readonly extend: () => void
  readonly cancel: () => void
}

export function createBurst(onEnd: () => void): Burst {
  let timer: NodeJS.Timeout | undefined
  let deadline = 0
  let isCancelled = false

  return {
    extend() {
      if (isCancelled) return
      const now = performance.now()
      if (timer === undefined) deadline = now + MAX_DELAY_MS
      clearTimeout(timer)
      timer = setTimeout(end, Math.max(0, Math.min(QUIET_MS, deadline - now)))
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
