// Measures bytes per second between two reads.

export interface RateMeter {
  /** `bytes` is the total since the start. Returns the rate since the previous read, or since `since`. */
  read(bytes: number, now: number): number
}

// A read within this time returns the previous rate, because two viewers may read at nearly the same time.
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
