// All limits of the TLS listener in one place, as the settings say.

import type { Log } from '../observability/log.ts'
import type { Metrics } from '../observability/metrics.ts'
import { createConnectionLimits, type ConnectionLimits } from './connections/connection-limits.ts'
import { createLimitAudit, type LimitAudit } from './limit-audit.ts'
import { createTransferLimits, type TransferLimits } from './pipeline/limit-transfers.ts'

export interface Limits {
  readonly audit: LimitAudit
  readonly connections: ConnectionLimits
  readonly transfers: TransferLimits
  readonly handshakeTimeoutMs: number
  readonly headerTimeoutMs: number
}

/** As the settings of these names are parsed. */
export interface LimitSettings {
  readonly maxConnections: number | 'off'
  readonly maxConnectionsPerSource: number | 'off'
  readonly maxRequestsPerConnection: number | 'off'
  readonly maxTransfersPerUser: number | 'off'
  readonly handshakeTimeout: number
  readonly headerTimeout: number
}

export interface LimitsOptions {
  readonly log: Log
  readonly metrics: Pick<Metrics, 'limitReached'>
  /** As many connections as there are file descriptors for. */
  readonly affordable: number
  /** Milliseconds. */
  readonly clock: () => number
}

export function createLimits(
  settings: LimitSettings,
  { log, metrics, affordable, clock }: LimitsOptions,
): Limits {
  const audit = createLimitAudit(log, metrics)
  const maxConnections = Math.min(orInfinity(settings.maxConnections), affordable)
  const connections = createConnectionLimits({
    maxConnections,
    maxPerSource: perSource(settings.maxConnectionsPerSource, maxConnections),
    maxRequests: orInfinity(settings.maxRequestsPerConnection),
    audit,
    clock,
  })
  const transfers = createTransferLimits({
    maxPerUser: orInfinity(settings.maxTransfersPerUser),
    audit,
    use: (socket) => connections.use(socket),
  })
  return {
    audit,
    connections,
    transfers,
    handshakeTimeoutMs: settings.handshakeTimeout,
    headerTimeoutMs: settings.headerTimeout,
  }
}

// Half of what there can be at most, also where that is less than it was meant to be: no single source keeps the others
// out. Whoever has one source only, another proxy, says `off`.
function perSource(limit: number | 'off', total: number): number {
  return limit === 'off' ? Infinity : Math.min(limit, Math.ceil(total / 2))
}

function orInfinity(limit: number | 'off'): number {
  return limit === 'off' ? Infinity : limit
}
