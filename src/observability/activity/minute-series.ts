// Counts traffic and operations in each minute of the last 24 hours.

import type { MinuteSeries } from '../status-snapshot.ts'

const MINUTE_MS = 60_000
const MAX_MINUTES = 24 * 60

export type Totals = Readonly<Record<Counted, number>>

type Counted = Exclude<keyof MinuteSeries, 'until'>

export interface MinuteCounts {
  /** Call it once a minute. A minute without a call gets zeros, and the minute before it gets its counts. */
  tick(): void
  read(): MinuteSeries
}

export interface MinuteCountsOptions {
  /** Returns the counts since the start. */
  readonly totals: () => Totals
  /** A monotonic clock in milliseconds. */
  readonly clock: () => number
}

export function createMinuteCounts({ totals, clock }: MinuteCountsOptions): MinuteCounts {
  const series: Record<Counted, number[]> = {
    receivedBytes: [],
    sentBytes: [],
    requests: [],
    failedRequests: [],
    pushes: [],
    pulls: [],
  }
  const names = Object.keys(series) as Counted[]
  let endedAt = clock()
  let last = totals()

  function tick(): void {
    const minutes = Math.floor((clock() - endedAt) / MINUTE_MS)
    if (minutes < 1) return
    endedAt += minutes * MINUTE_MS
    const now = totals()
    const missed = Array<number>(Math.min(minutes, MAX_MINUTES) - 1).fill(0)
    for (const name of names) {
      // The bytes of a running transfer are an estimate, so the total may fall a little when the transfer ends.
      const values = [...series[name], Math.max(0, now[name] - last[name]), ...missed]
      series[name] = values.slice(-MAX_MINUTES)
    }
    last = now
  }

  return {
    tick,
    read: () => {
      tick()
      return { until: new Date(Date.now() - (clock() - endedAt)).toISOString(), ...series }
    },
  }
}
