// Counts events and formats metrics for Prometheus.
// Threat: anyone who reaches the admin address reads the metrics. So label values are few, fixed and name no user.

import { collectDefaultMetrics, Counter, Gauge, Registry } from 'prom-client'
import {
  createEventMetrics,
  PREFIX,
  statusLabel,
  type AcceptedLoginKind,
  type Operation,
  type OperationOutcome,
  type RefusedLoginKind,
  type RouteKind,
} from './event-metrics.ts'

export interface RequestOutcome {
  readonly method: string
  /** 499 if the client left before a status was sent. */
  readonly status: number
  readonly route: RouteKind
  readonly seconds: number
  readonly receivedBytes: number
  readonly sentBytes: number
}

export interface Sample {
  readonly value: number
  readonly labels?: Readonly<Record<string, string>>
}

export interface StateDescription {
  /** The name without the common prefix. It ends with the unit; a counter has `_total` after the unit. */
  readonly name: string
  readonly help: string
  readonly labels?: readonly string[]
  /** Called for each collection. Must not reject. */
  readonly read: () => readonly Sample[] | Promise<readonly Sample[]>
}

export interface Metrics {
  readonly contentType: string
  text(): Promise<string>
  requestFinished(outcome: RequestOutcome): void
  operationFinished(operation: Operation, outcome: OperationOutcome): void
  readonly loginAccepted: (kind: AcceptedLoginKind) => void
  loginRefused(kind: RefusedLoginKind): void
  loginWaited(seconds: number): void
  upstreamAnswered(seconds: number): void
  /** At start, call it with `times` 0 for each kind, so that each series begins at 0. */
  upstreamFailed(kind: string, times?: number): void
  /** At start, call it with `times` 0 for each limit, for the same reason. */
  limitReached(limit: string, times?: number): void
  /** Call it at most once, and only if metrics are read. It starts a timer and observes garbage collections. */
  measureProcess(): void
  gauge(description: StateDescription): void
  counter(description: StateDescription): void
}

// The names of these gauges end like names of counters. `nodejs_active_resources` has the same figures by type.
const MISNAMED = [
  'nodejs_active_handles_total',
  'nodejs_active_requests_total',
  'nodejs_active_resources_total',
]

export function createMetrics(): Metrics {
  const registry = new Registry()
  const events = createEventMetrics(registry)

  return {
    contentType: registry.contentType,
    text: () => registry.metrics(),
    requestFinished({ method, status, route, seconds, receivedBytes, sentBytes }) {
      events.requests.inc({ method, status: statusLabel(status), route })
      events.seconds.observe({ route }, seconds)
      events.received.inc(receivedBytes)
      events.sent.inc(sentBytes)
    },
    operationFinished: (operation, outcome) => {
      events.operations.inc({ operation, outcome })
    },
    loginAccepted: (kind) => {
      events.logins.accepted.inc({ kind })
    },
    loginRefused: (kind) => {
      events.logins.refused.inc({ kind })
    },
    loginWaited: (seconds) => {
      events.waits.observe(seconds)
    },
    upstreamAnswered: (seconds) => {
      events.firstBytes.observe(seconds)
    },
    upstreamFailed: (kind, times = 1) => {
      events.failures.inc({ kind }, times)
    },
    limitReached: (limit, times = 1) => {
      events.limits.inc({ limit }, times)
    },
    measureProcess: () => {
      collectDefaultMetrics({ register: registry })
      for (const name of MISNAMED) registry.removeSingleMetric(name)
    },
    ...createStateMetrics(registry),
  }
}

function createStateMetrics(registry: Registry): Pick<Metrics, 'gauge' | 'counter'> {
  return {
    gauge(description) {
      const { read } = description
      new Gauge({
        ...configurationOf(description, registry),
        async collect() {
          const samples = await read()
          this.reset()
          for (const { value, labels = {} } of samples) this.set({ ...labels }, value)
        },
      })
    },
    counter(description) {
      const { read } = description
      new Counter({
        ...configurationOf(description, registry),
        async collect() {
          const samples = await read()
          this.reset()
          for (const { value, labels = {} } of samples) this.inc({ ...labels }, value)
        },
      })
    },
  }
}

function configurationOf({ name, help, labels = [] }: StateDescription, registry: Registry) {
  return { name: PREFIX + name, help, labelNames: [...labels], registers: [registry] }
}
