// Answers that are held for a moment. Who is told to wait and asks again at once, thousands of times a second, would
// otherwise take the event loop from everybody else: it costs a client nothing and us a whole request.

export interface HoldBack {
  /** Resolves after a moment, or at once when too many are held already. */
  wait(): Promise<void>
}

// 64 connections of a flood come to 256 requests a second then, in place of 7,000.
const HELD_MS = 250

// What is held is a connection that is open anyway; beyond this many we had rather be done with them.
const MAX_HELD = 1_000

export function createHoldBack({ heldMs = HELD_MS, maxHeld = MAX_HELD } = {}): HoldBack {
  let held = 0
  return {
    async wait() {
      if (held >= maxHeld) return
      held += 1
      // Whoever stops does not wait for the timer: the requests themselves are what a drain waits for.
      await new Promise((resolve) => setTimeout(resolve, heldMs).unref())
      held -= 1
    },
  }
}
