// Registers metrics of watched files and certificates.

import type { Metrics, Sample } from '../../observability/metrics.ts'
import type { Parts } from '../readiness.ts'

const OUTCOMES = ['changed', 'unchanged', 'failed'] as const

type Files = Pick<Parts, 'users' | 'certificate' | 'clientCa' | 'rules'>

export function registerFileMetrics(metrics: Metrics, files: Files): void {
  const parts = partsOf(files)
  metrics.gauge({
    name: 'file_stale',
    help: '1 while an older version is in use because the file is invalid.',
    labels: ['part'],
    read: () =>
      parts.map(([part, { state }]) => ({ labels: { part }, value: Number(state.kind === 'stale') })),
  })
  metrics.counter({
    name: 'reloads_total',
    help: 'Loads of changed files since the start, by outcome; a repeated failure counts once.',
    labels: ['part', 'outcome'],
    read: () =>
      parts.flatMap(([part, { loads }]) =>
        OUTCOMES.map((outcome) => ({ labels: { part, outcome }, value: loads[outcome] })),
      ),
  })
  metrics.gauge({
    name: 'last_good_load_timestamp_seconds',
    help: 'When the file was last read and found valid, in Unix seconds.',
    labels: ['part'],
    read: () =>
      parts.flatMap(([part, { loads }]) =>
        loads.lastGoodAt === undefined ? [] : [{ labels: { part }, value: loads.lastGoodAt / 1000 }],
      ),
  })
  registerCertificates(metrics, files)
}

function registerCertificates(metrics: Metrics, files: Files): void {
  const { certificate } = files
  const help =
    'Expiry of the served leaf, of its root, and of the client CA that expires first, in Unix seconds.'
  const read = () => expirySamples(files)
  metrics.gauge({ name: 'certificate_not_after_timestamp_seconds', help, labels: ['kind'], read })
  metrics.gauge({
    name: 'certificate_not_after_seconds',
    help: 'The old name of certificate_not_after_timestamp_seconds.',
    labels: ['kind'],
    read,
  })
  metrics.counter({
    name: 'certificate_renewals_total',
    help: 'Certificates that replaced another, by renewal or by new files.',
    read: () => [{ value: certificate.counts.renewed }],
  })
  metrics.counter({
    name: 'certificate_renewal_failures_total',
    help: 'Failed replacements of the certificate; the previous one stays in use.',
    read: () => [{ value: certificate.counts.failed }],
  })
}

function partsOf({ users, certificate, clientCa, rules }: Files) {
  return [
    ['users', users],
    ['certificate', certificate],
    ...(clientCa === undefined ? [] : [['client_ca', clientCa] as const]),
    ...(rules === undefined ? [] : [['access', rules] as const]),
  ] as const
}

function expirySamples({ certificate: { current, root }, clientCa }: Files): readonly Sample[] {
  const ends: readonly (readonly [kind: string, notAfter: Date | undefined])[] = [
    ['leaf', current.leaf.notAfter],
    ['root', root?.notAfter],
    ['client_ca', clientCa?.current.notAfter],
  ]
  return ends.flatMap(([kind, notAfter]) =>
    notAfter === undefined ? [] : [{ labels: { kind }, value: notAfter.getTime() / 1000 }],
  )
}
