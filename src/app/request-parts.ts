// What a request meets on its way: limits, login, the registry, and who counts and tells.

import { createAttempts } from '../auth/attempts.ts'
import { createBcryptPool, type BcryptPool } from '../auth/bcrypt-pool.ts'
import { createPace, type Pace } from '../auth/pace.ts'
import { createThrottle } from '../auth/throttle.ts'
import { createVerifiedCache } from '../auth/verified-cache.ts'
import { createVerifier, type Verifier } from '../auth/verifier.ts'
import type { Config } from '../settings/config.ts'
import { createAccessLog } from '../http/pipeline/access-log.ts'
import { createDrainGate } from '../http/pipeline/drain-gate.ts'
import { createLimits } from '../http/limits.ts'
import { createLoginAudit } from '../http/pipeline/login-audit.ts'
import type { Log } from '../observability/log.ts'
import { createMetrics } from '../observability/metrics.ts'
import { createUpstream } from '../upstream/upstream.ts'
import type { Users } from '../users/users.ts'

export type Closer = () => Promise<void> | void

/** What the parts stand on, and who closes them. */
export interface Ground {
  readonly log: Log
  readonly users: Users
  /** Called in reverse order, at the end. */
  readonly closers: Closer[]
  /** Connections that there are file descriptors for. */
  readonly affordable: number
}

/** Made from the settings alone: nothing of it opens a file or an address. */
export function createParts(config: Config, { log, users, closers, affordable }: Ground) {
  const metrics = createMetrics()
  const limits = createLimits(config, { log, metrics, affordable, clock: () => performance.now() })
  closers.push(() => {
    limits.audit.close()
  })
  const upstream = createUpstream({
    ...config.upstream,
    spliceMemory: config.spliceMemory,
    idleTimeoutMs: config.idleTimeout,
    responseTimeoutMs: config.responseTimeout,
  })
  closers.push(() => {
    upstream.close()
  })
  const accessLog = createAccessLog(log)
  closers.push(() => {
    accessLog.close()
  })
  const audit = createLoginAudit(log)
  closers.push(() => {
    audit.close()
  })
  const authentication = createAuthentication(config, { users, closers })
  return { gate: createDrainGate(), upstream, accessLog, audit, limits, metrics, ...authentication }
}

function createAuthentication(
  config: Config,
  { users, closers }: Pick<Ground, 'users' | 'closers'>,
): { readonly verifier: Verifier; readonly pace: Pace; readonly pool: BcryptPool } {
  const pool = createBcryptPool()
  closers.push(() => pool.close())
  // A clock that is set back must not make anybody wait for hours.
  const now = () => performance.now()
  const throttle = createThrottle(config.throttle, now)
  const pace = createPace({ limit: config.throttle, throttle, now })
  const attempts = createAttempts({
    throttle,
    compare: (comparison) => pool.compare(comparison),
    threads: pool.threads,
  })
  closers.push(() => {
    attempts.close()
  })
  const verifier = createVerifier({
    table: () => users.table,
    cache: createVerifiedCache(config.authCache),
    attempts,
  })
  return { verifier, pace, pool }
}
