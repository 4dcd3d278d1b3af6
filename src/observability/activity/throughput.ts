// Measures the traffic of all requests: rates now, and counts per minute.

import type { MinuteSeries } from '../status-snapshot.ts'
import { createMinuteCounts, type Totals } from './minute-series.ts'
import { createRateMeter } from './rate-meter.ts'

export interface Throughput {
  readonly series: MinuteSeries
  rates(): { readonly receivedBytesPerSecond: number; readonly sentBytesPerSecond: number }
  close(): void
}

export interface ThroughputOptions {
  /** Returns the counts of finished requests. */
  readonly finished: () => Totals
  /** Returns the bytes of running requests. */
  readonly running: () => { readonly received: number; readonly sent: number }
  /** A monotonic clock in milliseconds. */
  readonly clock: () => number
}

const MINUTE_MS = 60_000

export function createThroughput({ finished, running, clock }: ThroughputOptions): Throughput {
  const totals = (): Totals => {
    const [counts, { received, sent }] = [finished(), running()]
    return {
      ...counts,
      receivedBytes: counts.receivedBytes + received,
      sentBytes: counts.sentBytes + sent,
    }
  }
  const minutes = createMinuteCounts({ totals, clock })
  const { receivedBytes, sentBytes } = totals()
  const received = createRateMeter(clock(), receivedBytes)
  const sent = createRateMeter(clock(), sentBytes)

  function rates() {
    const [now, { receivedBytes, sentBytes }] = [clock(), totals()]
    return {
      receivedBytesPerSecond: received.read(receivedBytes, now),
      sentBytesPerSecond: sent.read(sentBytes, now),
    }
  }

  const timer = setInterval(() => {
    minutes.tick()
    // Reads the rates, so that the first viewer gets a rate over a minute at most.
    rates()
  }, MINUTE_MS)
  timer.unref()

  return {
    get series() {
      return minutes.read()
    },
    rates,
    close: () => {
      clearInterval(timer)
    },
  }
}
