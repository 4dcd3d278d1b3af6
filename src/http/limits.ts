// Creates all limits of the TLS listener from the settings.

import type { Log } from '../observability/log.ts'
import type { Metrics } from '../observability/metrics.ts'
import { createConnectionLimits, type ConnectionLimits } from './connections/connection-limits.ts'
import { createLimitAudit, type LimitAudit } from './limit-audit.ts'
import { createTransfers, type Transfers } from './pipeline/transfers.ts'

export interface Limits {
  readonly audit: LimitAudit
  readonly connections: ConnectionLimits
  readonly transfers: Transfers
  readonly handshakeTimeoutMs: number
  readonly headerTimeoutMs: number
}

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
  /** Connections that the limit of open files allows. */
  readonly affordable: number
  /** In milliseconds. */
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
  const transfers = createTransfers({
    maxPerUser: orInfinity(settings.maxTransfersPerUser),
    audit,
    connections: connections.table,
  })
  return {
    audit,
    connections,
    transfers,
    handshakeTimeoutMs: settings.handshakeTimeout,
    headerTimeoutMs: settings.headerTimeout,
  }
}

// At most half of all connections, so that one source cannot keep the others out.
function perSource(limit: number | 'off', total: number): number {
  return limit === 'off' ? Infinity : Math.min(limit, Math.ceil(total / 2))
}

function orInfinity(limit: number | 'off'): number {
  return limit === 'off' ? Infinity : limit
}
