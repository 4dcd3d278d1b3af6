// Registers metrics of a freeze and of waiting writes.

import type { WriteFreeze } from '../../freeze/write-freeze.ts'
import type { Metrics } from '../../observability/metrics.ts'

export function registerFreezeMetrics(metrics: Metrics, writeFreeze: Pick<WriteFreeze, 'status'>): void {
  metrics.gauge({
    name: 'frozen',
    help: '1 while a freeze is in force.',
    read: () => [{ value: Number(writeFreeze.status.freeze !== undefined) }],
  })
  metrics.gauge({
    name: 'frozen_until_timestamp_seconds',
    help: 'When the freeze ends by itself, in Unix seconds; 0 if nothing is frozen.',
    read: () => [{ value: (writeFreeze.status.freeze?.until ?? 0) / 1000 }],
  })
  metrics.gauge({
    name: 'pushes_running',
    help: 'Pushes with a write that runs or has ended in the last 15 seconds.',
    read: () => [{ value: writeFreeze.status.runningPushes }],
  })
  metrics.gauge({
    name: 'writes_waiting',
    help: 'Requests of pushes that wait for the end of a freeze.',
    read: () => [{ value: writeFreeze.status.waitingWrites }],
  })
  metrics.counter({
    name: 'writes_refused_total',
    help: 'Requests of pushes that were refused during a freeze, because they waited too long or too many waited.',
    read: () => [{ value: writeFreeze.status.refusedWrites }],
  })
}
