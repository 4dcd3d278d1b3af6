// Counts what happens in each minute of the last 24 hours.

import type { MinuteSeries } from '../status-snapshot.ts'

const MINUTE_MS = 60_000
const MAX_MINUTES = 24 * 60

export type Totals = Readonly<Record<Counted, number>>

type Counted = Exclude<keyof MinuteSeries, 'until'>

export interface MinuteCounts {
  /** Call it each minute. A minute without a call gets zeros. */
  tick(): void
  read(): MinuteSeries
}

export interface MinuteCountsOptions {
  /** Since the start. */
  readonly totals: () => Totals
  /** In milliseconds, monotonic. */
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
      // Bytes of a transfer that runs are an estimate, so their sum may fall a little at its end.
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
