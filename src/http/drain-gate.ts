// Counts requests in flight and knows when no new ones may begin.

export interface DrainGate {
  readonly isDraining: boolean
  /** A request begins; the returned function says that it is over. */
  enter(): () => void
  readonly inFlight: number
  /** From now on only what finishes an upload may begin. */
  beginDrain(): void
  /** Resolves when nothing has been in flight for a moment, or at once when nothing was. */
  drained(): Promise<void>
}

// A push is several requests: between PATCH and PUT nothing is in flight, and closing just then would lose the blob. So
// a second has to pass. Looks are counted, not milliseconds: when this process itself stood still for that second, the
// next request may have come, and lie unread in its socket.
const QUIET_LOOKS = 10
const LOOK_EVERY_MS = 100

export function createDrainGate(): DrainGate {
  let inFlight = 0
  let isDraining = false
  let onQuiet: (() => void) | undefined
  let timer: NodeJS.Timeout | undefined

  function enter(): () => void {
    inFlight += 1
    clearTimeout(timer)
    let isOver = false
    return () => {
      if (isOver) return
      isOver = true
      inFlight -= 1
      if (inFlight === 0) lookWhetherQuiet(QUIET_LOOKS)
    }
  }

  function lookWhetherQuiet(looks: number): void {
    if (looks === 0) onQuiet?.()
    else if (onQuiet !== undefined) timer = setTimeout(lookWhetherQuiet, LOOK_EVERY_MS, looks - 1)
  }

  return {
    enter,
    get isDraining() {
      return isDraining
    },
    get inFlight() {
      return inFlight
    },
    beginDrain: () => {
      isDraining = true
    },
    drained: () =>
      new Promise((resolve) => {
        if (inFlight === 0) resolve()
        else onQuiet = resolve
      }),
  }
}
