// Counts reached limits and logs them in few lines.

import type { Log } from '../observability/log.ts'
import type { EventName } from '../observability/log-events.ts'
import type { Metrics } from '../observability/metrics.ts'
import { createBoundedLog } from '../observability/bounded-log.ts'

interface Row {
  readonly setting: string
  readonly level: 'info' | 'warn' | 'error'
  readonly event: EventName
  readonly sentence: string
}

/** Includes faults of proxies, because these are counted and logged in the same way. */
export const LIMITS = {
  connections: {
    setting: 'SIDECAR_MAX_CONNECTIONS',
    level: 'warn',
    event: 'limit-reached',
    sentence: 'connections refused: too many are open',
  },
  'connections-per-source': {
    setting: 'SIDECAR_MAX_CONNECTIONS_PER_SOURCE',
    level: 'warn',
    event: 'limit-reached',
    sentence: 'connections closed or refused: too many of one source are open',
  },
  'idle-connections': {
    setting: 'SIDECAR_MAX_CONNECTIONS, SIDECAR_MAX_CONNECTIONS_PER_SOURCE',
    level: 'warn',
    event: 'limit-reached',
    sentence: 'idle connections closed to make room for others',
  },
  'handshake-time': {
    setting: 'SIDECAR_HANDSHAKE_TIMEOUT',
    level: 'warn',
    event: 'limit-reached',
    sentence: 'connections ended: no TLS handshake in time',
  },
  'header-time': {
    setting: 'SIDECAR_HEADER_TIMEOUT',
    level: 'warn',
    event: 'limit-reached',
    sentence: 'connections ended: no request head in time',
  },
  'requests-per-connection': {
    setting: 'SIDECAR_MAX_REQUESTS_PER_CONNECTION',
    // Nothing is refused, because the client continues on a new connection.
    level: 'info',
    event: 'connection-ended-by-limit',
    sentence: 'connections ended after their last allowed request',
  },
  'transfers-per-user': {
    setting: 'SIDECAR_MAX_TRANSFERS_PER_USER',
    level: 'warn',
    event: 'limit-reached',
    sentence: 'requests refused: too many transfers of one user',
  },
  'file-descriptors': {
    setting: 'ulimit -n',
    level: 'error',
    event: 'file-descriptors-exhausted',
    sentence: 'no file descriptor left: connections fail until others end',
  },
  'proxy-peer': {
    setting: 'SIDECAR_TRUSTED_PROXIES',
    level: 'warn',
    event: 'proxy-header-refused',
    sentence: 'connections closed: they do not come from a trusted proxy',
  },
  'proxy-header-missing': {
    setting: 'SIDECAR_PROXY_PROTOCOL',
    level: 'warn',
    event: 'proxy-header-refused',
    sentence: 'connections closed: the proxy sends no PROXY protocol header',
  },
  'proxy-header-malformed': {
    setting: 'SIDECAR_PROXY_PROTOCOL',
    level: 'warn',
    event: 'proxy-header-refused',
    sentence: 'connections closed: the PROXY protocol header is malformed',
  },
  'proxy-header-time': {
    setting: 'SIDECAR_HANDSHAKE_TIMEOUT',
    level: 'warn',
    event: 'proxy-header-refused',
    sentence: 'connections closed: the PROXY protocol header did not arrive in time',
  },
} as const satisfies Record<string, Row>

export type LimitName = keyof typeof LIMITS

export interface LimitAudit {
  /** `who` is the cause: a source, a username or an error code. */
  reached(limit: LimitName, who: string): void
  close(): void
}

const WINDOW_MS = 10_000

const MAX_LISTED = 1_000

interface Reached {
  readonly limit: LimitName
  readonly who: string
}

export function createLimitAudit(log: Log, metrics: Pick<Metrics, 'limitReached'>): LimitAudit {
  const names = Object.keys(LIMITS)
  const timesOf = new Map<LimitName, Map<string, number>>()
  for (const limit of names) metrics.limitReached(limit, 0)

  const lines = createBoundedLog<Reached>({
    windowMs: WINDOW_MS,
    keyOf: ({ limit }) => limit,
    linesOf: () => 1,
    // A flood that continues gets one line per window, not two.
    ongoingLines: 0,
    maxKeysOf: () => names.length,
    write: ({ limit, who }) => {
      writeLine(limit, { who, count: 1 })
    },
    writeCounted: ({ limit }, count) => {
      writeLine(limit, { who: mostFrequent(timesOf.get(limit) ?? new Map<string, number>()), count })
      timesOf.delete(limit)
    },
    writeUnlisted: () => undefined,
  })

  function reached(limit: LimitName, who: string): void {
    metrics.limitReached(limit)
    if (lines.add({ limit, who }) === 'written') return
    const times = timesOf.get(limit) ?? new Map<string, number>()
    timesOf.set(limit, times)
    if (times.size < MAX_LISTED || times.has(who)) times.set(who, (times.get(who) ?? 0) + 1)
  }

  function writeLine(limit: LimitName, fields: { readonly who: string; readonly count: number }): void {
    const row = LIMITS[limit]
    const facts = { limit, setting: row.setting, ...fields }
    if (row.level === 'info') log.info({ event: row.event, ...facts }, row.sentence)
    else if (row.level === 'warn') log.warn({ event: row.event, ...facts }, row.sentence)
    else log.error({ event: row.event, ...facts }, row.sentence)
  }

  return {
    reached,
    close: () => {
      lines.close()
    },
  }
}

function mostFrequent(timesOf: ReadonlyMap<string, number>): string {
  let [most, times] = ['', 0]
  for (const [who, count] of timesOf) if (count > times) [most, times] = [who, count]
  return most
}
