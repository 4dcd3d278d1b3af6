// Registers metrics whose values are read from each part.

import type { RulesInForce } from '../access/rules-in-force.ts'
import type { BcryptPool } from '../auth/bcrypt-pool.ts'
import type { ClientCaInForce } from '../certificates/client-ca-in-force.ts'
import type { DrainGate } from '../http/pipeline/drain-gate.ts'
import type { Limits } from '../http/limits.ts'
import type { AuditStream } from '../observability/audit-stream.ts'
import type { Metrics } from '../observability/metrics.ts'
import type { CertificateInForce } from '../certificates/certificate-in-force.ts'
import type { Upstream } from '../upstream/upstream.ts'
import type { Users } from '../users/users.ts'

export interface MeasuredParts {
  readonly users: Users
  readonly certificate: CertificateInForce
  readonly clientCa?: ClientCaInForce | undefined
  readonly rules?: RulesInForce | undefined
  readonly upstream: Upstream
  readonly gate: DrainGate
  readonly limits: Limits
  readonly pool: BcryptPool
  readonly auditStream?: AuditStream | undefined
}

export function registerStateMetrics(
  metrics: Metrics,
  { users, certificate, clientCa, rules, upstream, gate, limits, pool, auditStream }: MeasuredParts,
): void {
  registerLoad(metrics, { gate, limits })
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
  metrics.gauge({
    name: 'file_stale',
    help: '1 while an older version is in use because the file is invalid.',
    labels: ['part'],
    read: () => [
      { labels: { part: 'users' }, value: Number(users.state.kind === 'stale') },
      { labels: { part: 'certificate' }, value: Number(certificate.state.kind === 'stale') },
      ...(clientCa === undefined
        ? []
        : [{ labels: { part: 'client_ca' }, value: Number(clientCa.state.kind === 'stale') }]),
      ...(rules === undefined
        ? []
        : [{ labels: { part: 'access' }, value: Number(rules.state.kind === 'stale') }]),
    ],
  })
  registerCertificates(metrics, { certificate, clientCa })
  metrics.gauge({
    name: 'splice_buffer_bytes',
    help: 'Bytes of buffers that large bodies use now.',
    read: () => [{ value: upstream.spliceBytesInUse }],
  })
  metrics.counter({
    name: 'password_comparisons_total',
    help: 'Passwords that bcrypt compared; a remembered login needs no comparison.',
    read: () => pool.comparisons,
  })
  metrics.counter({
    name: 'audit_lines_dropped_total',
    help: 'Lines of the audit stream that were dropped because too many waited.',
    read: () => auditStream?.dropped ?? 0,
  })
}

function registerCertificates(
  metrics: Metrics,
  { certificate, clientCa }: Pick<MeasuredParts, 'certificate' | 'clientCa'>,
): void {
  metrics.gauge({
    name: 'certificate_not_after_seconds',
    help: 'Expiry of the served leaf, of its root, and of the client CA that expires first, in Unix seconds.',
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
  metrics.counter({
    name: 'certificate_renewals_total',
    help: 'Certificates that replaced another, by renewal or by new files.',
    read: () => certificate.counts.renewed,
  })
  metrics.counter({
    name: 'certificate_renewal_failures_total',
    help: 'Failed replacements of the certificate; the previous one stays in use.',
    read: () => certificate.counts.failed,
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
}
