// Creates the parts that handle requests.

import { join } from 'node:path'
import { createImmutableTags, MAX_MANIFEST_BYTES } from '../access/immutable.ts'
import { createAttempts } from '../auth/attempts.ts'
import { createBcryptPool } from '../auth/bcrypt-pool.ts'
import { createPace } from '../auth/pace.ts'
import { createThrottle } from '../auth/throttle.ts'
import { createVerifiedCache } from '../auth/verified-cache.ts'
import { createVerifier } from '../auth/verifier.ts'
import type { Config } from '../settings/config.ts'
import { createAccessLog } from '../http/pipeline/access-log.ts'
import { createBodyCollector } from '../http/pipeline/collect-body.ts'
import { createDrainGate } from '../http/pipeline/drain-gate.ts'
import { createLimits } from '../http/limits.ts'
import { createLoginAudit } from '../http/pipeline/login-audit.ts'
import type { Log } from '../observability/log.ts'
import { createMetrics } from '../observability/metrics.ts'
import { createUpstream } from '../upstream/upstream.ts'
import { createLastUsed, LAST_USED_FILE } from '../users/last-used.ts'
import type { Users } from '../users/users.ts'

export interface RequestPartsOptions {
  readonly log: Log
  readonly users: Users
  readonly affordable: number
}

export type RequestParts = ReturnType<typeof createRequestParts>

export function createRequestParts(config: Config, { log, users, affordable }: RequestPartsOptions) {
  const metrics = createMetrics()
  const upstream = createUpstream({
    ...config.upstream,
    spliceMemory: config.spliceMemory,
    idleTimeoutMs: config.idleTimeout,
    responseTimeoutMs: config.responseTimeout,
  })
  const limits = createLimits(config, { log, metrics, affordable, clock: monotonicMs })
  return {
    gate: createDrainGate(limits.transfers),
    upstream,
    accessLog: createAccessLog(log),
    audit: createLoginAudit(log),
    limits,
    metrics,
    immutableTags: createImmutableTags(upstream.manifests),
    manifestBodies: createBodyCollector(MANIFEST_LIMITS),
    ...createAuthentication(config, { users, log }),
  }
}

// 64 MiB is enough for over 1,000 manifests of ordinary size at once.
const MANIFEST_LIMITS = {
  maxBytes: MAX_MANIFEST_BYTES,
  maxTotalBytes: 64 * 1024 * 1024,
  timeoutMs: 60_000,
} as const

function createAuthentication(config: Config, { users, log }: Pick<RequestPartsOptions, 'users' | 'log'>) {
  const pool = createBcryptPool()
  const throttle = createThrottle(config.throttle, monotonicMs)
  const pace = createPace({ limit: config.throttle, throttle, now: monotonicMs })
  const attempts = createAttempts({
    throttle,
    compare: (comparison) => pool.compare(comparison),
    threads: pool.threads,
  })
  const lastUsed = createLastUsed({
    file: join(config.stateDir, LAST_USED_FILE),
    current: () => users.table.machinePasswords,
    log,
  })
  const verifier = createVerifier({
    table: () => users.table,
    cache: createVerifiedCache(config.authCache),
    attempts,
    throttle,
    onUse: ({ id }) => {
      lastUsed.note(id)
    },
  })
  return { verifier, pace, attempts, pool, lastUsed }
}

// With the wall clock, a change of the time could make clients wait for hours.
function monotonicMs(): number {
  return performance.now()
}
