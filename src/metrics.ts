// Metrics: what the process counts, and what is read when somebody asks. The only file that imports prom-client.
//
// Whoever reaches the admin address may read them, so no label holds a username, a repository or an address, and
// none tells an unknown user from a wrong password. Every label has a small, fixed set of values.

import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client'

/** A request that is over, as the client saw it. */
export interface RequestOutcome {
  /** One of a small set, whatever the client wrote: each is a time series. */
  readonly method: string
  /** As in the log: 499 when the client left before any was sent. */
  readonly status: number
  readonly seconds: number
  readonly receivedBytes: number
  readonly sentBytes: number
}

export type RefusedLoginKind = 'malformed' | 'refused' | 'throttled' | 'dropped' | 'busy' | 'certificate'

export interface Sample {
  readonly value: number
  readonly labels?: Readonly<Record<string, string>>
}

export interface GaugeDescription {
  /** Without the common prefix; the unit stands last. */
  readonly name: string
  readonly help: string
  readonly labels?: readonly string[]
  /** Asked at each scrape. */
  readonly read: () => readonly Sample[]
}

export interface Metrics {
  readonly contentType: string
  /** All of them, in Prometheus' text format. */
  text(): Promise<string>
  requestOver(outcome: RequestOutcome): void
  loginRefused(kind: RefusedLoginKind): void
  upstreamFailed(kind: string): void
  /** The limits are a fixed set; telling of each 0 times at the start lets a first time be seen as one. */
  limitReached(limit: string, times?: number): void
  /**
   * From now on CPU, memory, file descriptors and event loop of the process are measured, as every dashboard knows them.
   * Costs a timer and a hook on each garbage collection, so only where somebody can ask. Once.
   */
  measureProcess(): void
  /** A value that another part knows at any time. */
  gauge(description: GaugeDescription): void
  /** Like a gauge, of a number that only grows while the process runs; its name ends in `_total`. */
  total(description: Pick<GaugeDescription, 'name' | 'help'> & { readonly read: () => number }): void
}

const PREFIX = 'registry_sidecar_'

// From a manifest that is remembered by the page cache to a layer of many GiB over a slow line.
const REQUEST_SECONDS = [0.005, 0.02, 0.1, 0.5, 2, 10, 60, 600]

/** Counters at zero. */
export function createMetrics(): Metrics {
  const registry = new Registry()
  const counters = createCounters(registry)

  return {
    contentType: registry.contentType,
    text: () => registry.metrics(),
    requestOver({ method, status, seconds, receivedBytes, sentBytes }) {
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
    total({ name, help, read }) {
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
      help: 'Requests that are over, by method and status.',
      labelNames: ['method', 'status'],
      registers,
    }),
    seconds: new Histogram({
      name: `${PREFIX}request_seconds`,
      help: 'Time from the head of a request to the end of its answer.',
      buckets: REQUEST_SECONDS,
      registers,
    }),
    received: new Counter({
      name: `${PREFIX}received_bytes_total`,
      help: 'Bytes of requests, heads included, inside TLS.',
      registers,
    }),
    sent: new Counter({
      name: `${PREFIX}sent_bytes_total`,
      help: 'Bytes of answers, heads included, inside TLS.',
      registers,
    }),
    logins: new Counter({
      name: `${PREFIX}logins_refused_total`,
      help: 'Logins that were not let in; requests without credentials do not count.',
      labelNames: ['kind'],
      registers,
    }),
    limits: new Counter({
      name: `${PREFIX}limits_reached_total`,
      help: 'Connections and requests that met a limit, by limit.',
      labelNames: ['limit'],
      registers,
    }),
    failures: new Counter({
      name: `${PREFIX}upstream_failures_total`,
      help: 'Exchanges with the registry that failed, by kind.',
      labelNames: ['kind'],
      registers,
    }),
  }
}
