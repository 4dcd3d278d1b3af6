// Creates the metrics that count events as they happen.

import { STATUS_CODES } from 'node:http'
import { Counter, Histogram, type Registry } from 'prom-client'

export const PREFIX = 'registry_sidecar_'

export type RouteKind =
  'ping' | 'manifest' | 'blob' | 'upload' | 'tags' | 'referrers' | 'catalog' | 'token' | 'page' | 'other'

export const OPERATIONS = ['pull', 'push'] as const
export type Operation = (typeof OPERATIONS)[number]

export const OPERATION_OUTCOMES = [
  'ok',
  'unauthenticated',
  'denied',
  'not-found',
  'refused',
  'failed',
  'cut',
] as const
export type OperationOutcome = (typeof OPERATION_OUTCOMES)[number]

const ACCEPTED_LOGINS = ['remembered', 'verified', 'machine-password', 'token', 'certificate'] as const
export type AcceptedLoginKind = (typeof ACCEPTED_LOGINS)[number]

const REFUSED_LOGINS = [
  'malformed',
  'token',
  'refused',
  'throttled',
  'dropped',
  'busy',
  'certificate',
] as const
export type RefusedLoginKind = (typeof REFUSED_LOGINS)[number]

// From a request for a cached manifest to a layer of many GiB over a slow network.
const REQUEST_SECONDS = [0.005, 0.02, 0.1, 0.5, 2, 10, 60, 600]

// A login waits 10 s at most.
const WAIT_SECONDS = [0.01, 0.05, 0.2, 1, 2, 5, 10]

export type EventMetrics = ReturnType<typeof createEventMetrics>

/** Series with known labels begin at 0, so that Prometheus sees the first increase. */
export function createEventMetrics(registry: Registry) {
  const registers = [registry]
  const counter = (name: string, help: string, labelNames: string[] = []) =>
    new Counter({ name: PREFIX + name, help, labelNames, registers })
  const histogram = (name: string, help: string, buckets: number[], labelNames: string[] = []) =>
    new Histogram({ name: PREFIX + name, help, buckets, labelNames, registers })
  const logins = {
    accepted: counter('logins_accepted_total', 'Requests with a valid login, by kind.', ['kind']),
    refused: counter(
      'logins_refused_total',
      'Refused logins, by kind; requests without credentials do not count.',
      ['kind'],
    ),
  }
  const operations = counter(
    'operations_total',
    'Pushes and pulls, by outcome; each is counted at the request for its manifest.',
    ['operation', 'outcome'],
  )
  for (const kind of ACCEPTED_LOGINS) logins.accepted.inc({ kind }, 0)
  for (const kind of REFUSED_LOGINS) logins.refused.inc({ kind }, 0)
  for (const operation of OPERATIONS)
    for (const outcome of OPERATION_OUTCOMES) operations.inc({ operation, outcome }, 0)

  return {
    logins,
    operations,
    requests: counter('requests_total', 'Finished requests, by method, status and route.', [
      ...['method', 'status', 'route'],
    ]),
    seconds: histogram(
      'request_seconds',
      'Time from the head of a request to the end of its response, by route.',
      REQUEST_SECONDS,
      ['route'],
    ),
    received: counter('received_bytes_total', 'Bytes of requests inside TLS, including heads.'),
    sent: counter('sent_bytes_total', 'Bytes of responses inside TLS, including heads.'),
    waits: histogram('login_wait_seconds', 'Time that a login waited for a bcrypt thread.', WAIT_SECONDS),
    limits: counter('limits_reached_total', 'Connections and requests that reached a limit, by limit.', [
      'limit',
    ]),
    failures: counter('upstream_failures_total', 'Failed exchanges with the registry, by kind.', ['kind']),
    firstBytes: histogram(
      'upstream_first_byte_seconds',
      'Time from forwarding a request without a body to the start of the answer of the registry.',
      REQUEST_SECONDS,
    ),
  }
}

/** Threat: a registry sends arbitrary statuses, and each becomes a time series. 499 means that the client left. */
export function statusLabel(status: number): string {
  return status === 499 || STATUS_CODES[status] !== undefined ? String(status) : 'other'
}
