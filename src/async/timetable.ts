// Reads the clock and sets timers.

export interface Timetable {
  readonly now: () => Date
  /** Returns the function that cancels the callback. */
  readonly after: (delayMs: number, callback: () => void) => () => void
}

export const SYSTEM_TIMETABLE: Timetable = {
  now: () => new Date(),
  after: (delayMs, callback) => {
    const timer = setTimeout(callback, delayMs)
    return () => {
      clearTimeout(timer)
    }
  },
}
