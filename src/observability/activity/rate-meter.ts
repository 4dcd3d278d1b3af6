// Measures bytes per second between two looks.

export interface RateMeter {
  /** `bytes` since the start. The rate since an earlier look, or since `since` at the first. */
  read(bytes: number, now: number): number
}

// Two viewers may look at nearly the same time.
const MIN_MS = 500

/** Times are milliseconds of a monotonic clock. */
export function createRateMeter(since: number, bytesThen = 0): RateMeter {
  let [at, seen, rate] = [since, bytesThen, 0]
  return {
    read: (bytes, now) => {
      if (now - at < MIN_MS) return rate
      rate = Math.max(0, ((bytes - seen) * 1000) / (now - at))
      ;[at, seen] = [now, bytes]
      return rate
    },
  }
}
