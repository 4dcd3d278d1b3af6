// Registers metrics whose values are read from each part.

import type { Attempts } from '../../auth/attempts.ts'
import type { BcryptPool } from '../../auth/bcrypt-pool.ts'
import type { Limits } from '../../http/limits.ts'
import type { AuditStream } from '../../observability/audit-stream.ts'
import type { Metrics, Sample } from '../../observability/metrics.ts'
import { registerFileMetrics } from './file-metrics.ts'
import { registerFreezeMetrics } from './freeze-metrics.ts'
import { readinessOf, type Parts } from '../readiness.ts'
import { programVersion } from '../version.ts'

export interface MeasuredParts extends Parts {
  readonly limits: Limits
  readonly pool: BcryptPool
  readonly attempts: Attempts
  readonly auditStream?: AuditStream | undefined
}

export function registerStateMetrics(metrics: Metrics, parts: MeasuredParts): void {
  const { users, upstream, auditStream } = parts
  const version = programVersion()
  metrics.gauge({
    name: 'build_info',
    help: 'Always 1; the label has the version of the sidecar.',
    labels: ['version'],
    read: () => [{ labels: { version }, value: 1 }],
  })
  metrics.gauge({
    name: 'ready',
    help: '1 if the part is ready, as in /readyz. Each collection asks the registry.',
    labels: ['part'],
    read: () => readySamples(parts),
  })
  registerLoad(metrics, parts)
  registerLogins(metrics, parts)
  metrics.counter({
    name: 'audit_lines_dropped_total',
    help: 'Lines of the audit stream that were dropped because too many waited.',
    read: () => [{ value: auditStream?.dropped ?? 0 }],
  })
  metrics.gauge({
    name: 'users',
    help: 'Users that may log in now.',
    read: () => [{ value: users.table.entries.size }],
  })
  metrics.gauge({
    name: 'users_skipped_lines',
    help: 'Lines of the users file that are skipped because they are invalid.',
    read: () => [{ value: users.table.problems.length }],
  })
  registerFileMetrics(metrics, parts)
  registerFreezeMetrics(metrics, parts.writeFreeze)
  metrics.gauge({
    name: 'splice_buffer_bytes',
    help: 'Bytes of buffers that large bodies use now.',
    read: () => [{ value: upstream.spliceBytesInUse }],
  })
}

async function readySamples(parts: MeasuredParts): Promise<readonly Sample[]> {
  const readiness = await readinessOf(parts)
  return Object.entries(readiness.parts).map(([name, { ready }]) => ({
    labels: { part: name === 'clientCa' ? 'client_ca' : name },
    value: Number(ready),
  }))
}

function registerLogins(
  metrics: Metrics,
  { pool, attempts }: Pick<MeasuredParts, 'pool' | 'attempts'>,
): void {
  metrics.counter({
    name: 'password_comparisons_total',
    help: 'Passwords that bcrypt compared; a remembered login needs no comparison.',
    read: () => [{ value: pool.comparisons }],
  })
  metrics.gauge({
    name: 'logins_waiting',
    help: 'Logins that wait for a bcrypt thread.',
    read: () => [{ value: attempts.waiting() }],
  })
}

function registerLoad(metrics: Metrics, { gate, limits }: Pick<MeasuredParts, 'gate' | 'limits'>): void {
  metrics.gauge({
    name: 'requests_in_flight',
    help: 'Admitted requests that are not finished, and logins that are being checked.',
    read: () => [{ value: gate.inFlight }],
  })
  metrics.gauge({
    name: 'connections',
    help: 'Open client connections, without refused ones.',
    read: () => [{ value: limits.connections.table.size }],
  })
  metrics.gauge({
    name: 'transfers_in_flight',
    help: 'Requests of verified users that are not finished.',
    read: () => [{ value: limits.transfers.open.size }],
  })
  metrics.gauge({
    name: 'blob_transfers_in_flight',
    help: 'Blobs that are being pushed or pulled.',
    labels: ['operation'],
    read: () => {
      const blobs = [...limits.transfers.open].filter(({ kind }) => kind === 'blob')
      const pulls = blobs.filter(({ incoming }) => incoming.method === 'GET').length
      return [
        { labels: { operation: 'pull' }, value: pulls },
        { labels: { operation: 'push' }, value: blobs.length - pulls },
      ]
    },
  })
}
