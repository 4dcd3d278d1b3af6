// Composes the snapshot of the live status.

import type { Readiness } from '../../http/admin/admin-listener.ts'
import {
  createRunningTransfers,
  type RunningTransfers,
} from '../../http/pipeline/report/running-transfers.ts'
import { createLiveStatus, type LiveStatus } from '../../http/status/live-status.ts'
import { createStatusSource, type StatusSource } from '../../http/status/status-source.ts'
import type { Activity } from '../../observability/activity/activity.ts'
import { createThroughput, type Throughput } from '../../observability/activity/throughput.ts'
import type { Log } from '../../observability/log.ts'
import type { CertificateStatus, LoadStatus, StatusSnapshot } from '../../observability/status-snapshot.ts'
import { daysLeft, readinessOf, type Parts } from '../readiness.ts'
import { createRecentReadiness } from '../recent-readiness.ts'
import type { RequestParts } from '../request-parts.ts'
import { createUserStatuses } from './user-statuses.ts'
import { programVersion } from '../version.ts'

export interface StatusParts extends Parts, Pick<RequestParts, 'limits' | 'attempts'> {
  readonly activity: Activity
}

export interface StatusView {
  readonly statusSource: StatusSource
  readonly liveStatus: LiveStatus
}

export interface Status {
  readonly view: StatusView
  close(): void
}

export interface StatusOptions {
  readonly log: Log
  /** In milliseconds, monotonic. */
  readonly clock: () => number
}

export function createStatus(parts: StatusParts, { log, clock }: StatusOptions): Status {
  const { limits, activity } = parts
  const running = createRunningTransfers(limits.transfers.open, clock)
  const throughput = createThroughput({
    finished: () => activity.totals,
    running: () => running.moved(),
    clock,
  })
  const compose = createComposer(parts, { running, throughput })
  const readiness = createRecentReadiness(() => readinessOf(parts), clock)
  const statusSource = createStatusSource(async () => compose(await readiness()))
  const liveStatus = createLiveStatus({ source: statusSource, clock, log })
  return {
    view: { statusSource, liveStatus },
    close: () => {
      liveStatus.close()
      throughput.close()
    },
  }
}

interface Traffic {
  readonly running: RunningTransfers
  readonly throughput: Throughput
}

function createComposer(
  parts: StatusParts,
  { running, throughput }: Traffic,
): (readiness: Readiness) => StatusSnapshot {
  const { activity, users, rules } = parts
  const startedAt = new Date().toISOString()
  const version = programVersion()
  const listUsers = createUserStatuses()
  return ({ ready, parts: states }) => ({
    at: new Date().toISOString(),
    startedAt,
    version,
    ready,
    parts: states,
    certificates: certificatesOf(parts),
    load: { ...loadOf(parts), transfers: running.blobs, ...throughput.rates() },
    transfers: running.list(),
    operations: activity.operations,
    refusals: activity.refusals,
    changes: activity.changes,
    series: throughput.series,
    users: listUsers(users.table, rules?.current),
  })
}

function loadOf({
  users,
  limits,
  gate,
  attempts,
}: StatusParts): Pick<LoadStatus, 'users' | 'connections' | 'requestsInFlight' | 'loginsWaiting'> {
  return {
    users: users.table.entries.size,
    connections: limits.connections.table.size,
    requestsInFlight: gate.inFlight,
    loginsWaiting: attempts.waiting(),
  }
}

function certificatesOf({
  certificate: { current, root },
  clientCa,
}: StatusParts): readonly CertificateStatus[] {
  const ends: readonly (readonly [CertificateStatus['kind'], Date | undefined])[] = [
    ['leaf', current.leaf.notAfter],
    ['root', root?.notAfter],
    ['client-ca', clientCa?.current.notAfter],
  ]
  return ends.flatMap(([kind, notAfter]) =>
    notAfter === undefined
      ? []
      : [{ kind, notAfter: notAfter.toISOString(), daysLeft: daysLeft({ notAfter }) }],
  )
}
