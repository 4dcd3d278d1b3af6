// How many of the connections that are refused are told so. A sentence costs a TLS handshake, half a millisecond of
// processor time; whoever opens connections faster than this is closed at once, which costs next to nothing.

export interface Courtesy {
  /** A place, or undefined when there is none. The function gives it back. */
  take(): (() => void) | undefined
}

// A fleet that has outgrown a limit sees the sentence in no time; 32 handshakes a second are 2 % of a core.
const MAX_OPEN = 32
const MAX_PER_SECOND = 32

export function createCourtesy(clock: () => number): Courtesy {
  let open = 0
  let taken = 0
  let secondBegan = Number.NEGATIVE_INFINITY

  return {
    take: () => {
      const now = clock()
      if (now - secondBegan >= 1_000) {
        secondBegan = now
        taken = 0
      }
      if (open >= MAX_OPEN || taken >= MAX_PER_SECOND) return undefined
      open += 1
      taken += 1
      return () => {
        open -= 1
      }
    },
  }
}
