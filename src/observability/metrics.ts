// Counts events and formats metrics for Prometheus.
//
// Threat: anyone who reaches the admin address reads the metrics.
// So each label has few, fixed values. No label shows a username, repository or address, or whether a user exists.

import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client'

export interface RequestOutcome {
  /** From a small, fixed set, because each value makes a time series. */
  readonly method: string
  /** 499 if the client left before a status was sent. */
  readonly status: number
  readonly seconds: number
  readonly receivedBytes: number
  readonly sentBytes: number
}

export type RefusedLoginKind =
  'malformed' | 'token' | 'refused' | 'throttled' | 'dropped' | 'busy' | 'certificate'

export interface Sample {
  readonly value: number
  readonly labels?: Readonly<Record<string, string>>
}

export interface GaugeDescription {
  /** Without the common prefix; ends with the unit. */
  readonly name: string
  readonly help: string
  readonly labels?: readonly string[]
  readonly read: () => readonly Sample[]
}

export interface Metrics {
  readonly contentType: string
  text(): Promise<string>
  requestFinished(outcome: RequestOutcome): void
  loginRefused(kind: RefusedLoginKind): void
  upstreamFailed(kind: string): void
  /** At start, call it with `times` 0 for each limit, so that Prometheus sees the first increase. */
  limitReached(limit: string, times?: number): void
  /** Call it at most once, and only if metrics are read, because it starts a timer and observes garbage collections. */
  measureProcess(): void
  gauge(description: GaugeDescription): void
  /** The name must end in `_total`. */
  counter(description: Pick<GaugeDescription, 'name' | 'help'> & { readonly read: () => number }): void
}

const PREFIX = 'registry_sidecar_'

// The range from a cached manifest to a layer of many GiB over a slow network.
const REQUEST_SECONDS = [0.005, 0.02, 0.1, 0.5, 2, 10, 60, 600]

export function createMetrics(): Metrics {
  const registry = new Registry()
  const counters = createCounters(registry)

  return {
    contentType: registry.contentType,
    text: () => registry.metrics(),
    requestFinished({ method, status, seconds, receivedBytes, sentBytes }) {
      counters.requests.inc({ method, status })
      counters.seconds.observe(seconds)
      counters.received.inc(receivedBytes)
      counters.sent.inc(sentBytes)
    },
    loginRefused: (kind) => {
      counters.logins.inc({ kind })
    },
    upstreamFailed: (kind) => {
      counters.failures.inc({ kind })
    },
    limitReached: (limit, times = 1) => {
      counters.limits.inc({ limit }, times)
    },
    measureProcess: () => {
      collectDefaultMetrics({ register: registry })
    },
    gauge({ name, help, labels = [], read }) {
      new Gauge({
        name: PREFIX + name,
        help,
        labelNames: [...labels],
        registers: [registry],
        collect() {
          this.reset()
          for (const { value, labels: given = {} } of read()) this.set({ ...given }, value)
        },
      })
    },
    counter({ name, help, read }) {
      new Counter({
        name: PREFIX + name,
        help,
        registers: [registry],
        collect() {
          this.reset()
          this.inc(read())
        },
      })
    },
  }
}

function createCounters(registry: Registry) {
  const registers = [registry]
  return {
    requests: new Counter({
      name: `${PREFIX}requests_total`,
      help: 'Finished requests, by method and status.',
      labelNames: ['method', 'status'],
      registers,
    }),
    seconds: new Histogram({
      name: `${PREFIX}request_seconds`,
      help: 'Time from the head of a request to the end of its response.',
      buckets: REQUEST_SECONDS,
      registers,
    }),
    received: new Counter({
      name: `${PREFIX}received_bytes_total`,
      help: 'Bytes of requests inside TLS, including heads.',
      registers,
    }),
    sent: new Counter({
      name: `${PREFIX}sent_bytes_total`,
      help: 'Bytes of responses inside TLS, including heads.',
      registers,
    }),
    logins: new Counter({
      name: `${PREFIX}logins_refused_total`,
      help: 'Refused logins, by kind; requests without credentials do not count.',
      labelNames: ['kind'],
      registers,
    }),
    limits: new Counter({
      name: `${PREFIX}limits_reached_total`,
      help: 'Connections and requests that reached a limit, by limit.',
      labelNames: ['limit'],
      registers,
    }),
    failures: new Counter({
      name: `${PREFIX}upstream_failures_total`,
      help: 'Failed exchanges with the registry, by kind.',
      labelNames: ['kind'],
      registers,
    }),
  }
}
