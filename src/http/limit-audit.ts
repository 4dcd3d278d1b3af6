// Limits that were met, for people: counted, and told in bounded number, since what meets a limit is often a flood.

import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'

/** Every limit: what raises it, and what has happened when it is met. Also the values of the metric's label. */
export const LIMITS = {
  connections: {
    setting: 'SIDECAR_MAX_CONNECTIONS',
    level: 'warn',
    event: 'connections refused: too many are open',
  },
  'connections-per-source': {
    setting: 'SIDECAR_MAX_CONNECTIONS_PER_SOURCE',
    level: 'warn',
    event: 'connections refused: too many of one source are open',
  },
  'idle-connections': {
    setting: 'SIDECAR_MAX_CONNECTIONS, SIDECAR_MAX_CONNECTIONS_PER_SOURCE',
    level: 'warn',
    event: 'idle connections closed to make room for others',
  },
  'handshake-time': {
    setting: 'SIDECAR_HANDSHAKE_TIMEOUT',
    level: 'warn',
    event: 'connections ended: no TLS handshake in time',
  },
  'header-time': {
    setting: 'SIDECAR_HEADER_TIMEOUT',
    level: 'warn',
    event: 'connections ended: no request head in time',
  },
  'requests-per-connection': {
    setting: 'SIDECAR_MAX_REQUESTS_PER_CONNECTION',
    // Nobody is refused anything: the client goes on with a new connection.
    level: 'info',
    event: 'connections ended after their last request',
  },
  'transfers-per-user': {
    setting: 'SIDECAR_MAX_TRANSFERS_PER_USER',
    level: 'warn',
    event: 'requests refused: too many transfers of one user',
  },
  'file-descriptors': {
    setting: 'ulimit -n',
    level: 'error',
    event: 'no file descriptor left: connections fail until others end',
  },
} as const satisfies Record<string, { setting: string; level: 'info' | 'warn' | 'error'; event: string }>

export type LimitName = keyof typeof LIMITS

export interface LimitAudit {
  /**
   * Counts one meeting of a limit. `who` met it: a source, a username, an error code. Writes a line, or counts it for
   * the line at the end of the window.
   */
  reached(limit: LimitName, who: string): void
  /** Writes what has only been counted. */
  close(): void
}

const WINDOW_MS = 10_000

// Told is only who met a limit most, so a botnet of more sources than this hides nothing worth knowing.
const MAX_LISTED = 1_000

/** What is still to be told of one limit. */
interface Window {
  untold: number
  readonly timesOf: Map<string, number>
}

export function createLimitAudit(log: Log, metrics: Pick<Metrics, 'limitReached'>): LimitAudit {
  const windows = new Map<LimitName, Window>()
  let timer: NodeJS.Timeout | undefined
  let isClosed = false
  for (const limit of Object.keys(LIMITS)) metrics.limitReached(limit, 0)

  function reached(limit: LimitName, who: string): void {
    metrics.limitReached(limit)
    const window = windows.get(limit)
    if (window === undefined || isClosed) {
      tell(limit, { who, count: 1 })
      windows.set(limit, { untold: 0, timesOf: new Map() })
      if (!isClosed) timer ??= setTimeout(endWindows, WINDOW_MS)
      return
    }
    window.untold += 1
    const { timesOf } = window
    if (timesOf.size < MAX_LISTED || timesOf.has(who)) timesOf.set(who, (timesOf.get(who) ?? 0) + 1)
  }

  // A limit that was met in its window keeps it: a flood that goes on is one line per window, not two.
  function endWindows(): void {
    clearTimeout(timer)
    timer = undefined
    // Of those that are there now: what is put back is the next window's.
    for (const [limit, window] of [...windows]) {
      windows.delete(limit)
      if (window.untold === 0) continue
      tell(limit, { who: mostOf(window.timesOf), count: window.untold })
      if (!isClosed) windows.set(limit, { untold: 0, timesOf: new Map() })
    }
    if (windows.size > 0) timer = setTimeout(endWindows, WINDOW_MS)
  }

  function tell(limit: LimitName, fields: { readonly who: string; readonly count: number }): void {
    const { level, setting, event } = LIMITS[limit]
    log[level]({ limit, setting, ...fields }, event)
  }

  return {
    reached,
    close: () => {
      isClosed = true
      endWindows()
    },
  }
}

function mostOf(timesOf: ReadonlyMap<string, number>): string {
  let [most, times] = ['', 0]
  for (const [who, count] of timesOf) if (count > times) [most, times] = [who, count]
  return most
}
