// What the parts of the sidecar know of themselves at any time, as metrics.

import type { BcryptPool } from './auth/bcrypt-pool.ts'
import type { ClientCaInForce } from './certificates/client-ca.ts'
import type { DrainGate } from './http/drain-gate.ts'
import type { Limits } from './http/limits.ts'
import type { Metrics } from './metrics.ts'
import type { CertificateInForce } from './certificates/served-certificate.ts'
import type { Upstream } from './upstream/upstream.ts'
import type { Users } from './users.ts'

export interface MeasuredParts {
  readonly users: Users
  readonly certificate: CertificateInForce
  readonly clientCa?: ClientCaInForce | undefined
  readonly upstream: Upstream
  readonly gate: DrainGate
  readonly limits: Limits
  readonly pool: BcryptPool
}

/** Registers what is read from these parts whenever the metrics are asked for. */
export function measureState(
  metrics: Metrics,
  { users, certificate, clientCa, upstream, gate, limits, pool }: MeasuredParts,
): void {
  measureLoad(metrics, { gate, limits })
  metrics.gauge({
    name: 'users',
    help: 'Users in force.',
    read: () => [{ value: users.table.entries.size }],
  })
  metrics.gauge({
    name: 'users_skipped_lines',
    help: 'Lines of the users file that are no usable entry.',
    read: () => [{ value: users.table.problems.length }],
  })
  metrics.gauge({
    name: 'file_stale',
    help: '1 while what is in force is older than its file, which is no good.',
    labels: ['part'],
    read: () => [
      { labels: { part: 'users' }, value: Number(users.state.kind === 'stale') },
      { labels: { part: 'certificate' }, value: Number(certificate.state.kind === 'stale') },
      ...(clientCa === undefined
        ? []
        : [{ labels: { part: 'client_ca' }, value: Number(clientCa.state.kind === 'stale') }]),
    ],
  })
  measureEnds(metrics, { certificate, clientCa })
  metrics.gauge({
    name: 'splice_buffer_bytes',
    help: 'Buffers that large bodies hold now.',
    read: () => [{ value: upstream.spliceBytesInUse }],
  })
  metrics.total({
    name: 'password_comparisons_total',
    help: 'Passwords compared by bcrypt; a remembered login needs none.',
    read: () => pool.comparisons,
  })
}

function measureEnds(
  metrics: Metrics,
  { certificate, clientCa }: Pick<MeasuredParts, 'certificate' | 'clientCa'>,
): void {
  metrics.gauge({
    name: 'certificate_not_after_seconds',
    help: 'When the certificate ends that is served, the root under it, and the first client CA, in Unix seconds.',
    labels: ['kind'],
    read: () => [
      { labels: { kind: 'leaf' }, value: certificate.current.leaf.notAfter.getTime() / 1000 },
      ...(certificate.root === undefined
        ? []
        : [{ labels: { kind: 'root' }, value: certificate.root.notAfter.getTime() / 1000 }]),
      ...(clientCa === undefined
        ? []
        : [{ labels: { kind: 'client_ca' }, value: clientCa.current.notAfter.getTime() / 1000 }]),
    ],
  })
  metrics.total({
    name: 'certificate_renewals_total',
    help: 'Certificates that came into force in the place of another, issued here or put into its files.',
    read: () => certificate.counts.renewed,
  })
  metrics.total({
    name: 'certificate_renewal_failures_total',
    help: 'Times that the certificate in force had to stay, since none could be issued or its files were no good.',
    read: () => certificate.counts.failed,
  })
}

function measureLoad(metrics: Metrics, { gate, limits }: Pick<MeasuredParts, 'gate' | 'limits'>): void {
  metrics.gauge({
    name: 'requests_in_flight',
    help: 'Requests that were let in and are not over, and logins that are being checked.',
    read: () => [{ value: gate.inFlight }],
  })
  metrics.gauge({
    name: 'connections',
    help: 'Connections of clients that are open, without those that are only told that they are refused.',
    read: () => [{ value: limits.connections.open }],
  })
  metrics.gauge({
    name: 'transfers_in_flight',
    help: 'Requests of verified users that are not over.',
    read: () => [{ value: limits.transfers.inFlight }],
  })
}
