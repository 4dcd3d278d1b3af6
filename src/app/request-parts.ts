// Creates the parts that handle requests.

import { join } from 'node:path'
import { ANONYMOUS } from '../access/access-rules.ts'
import { createImmutableTags, MAX_MANIFEST_BYTES } from '../access/immutable.ts'
import type { RulesInForce } from '../access/rules-in-force.ts'
import { createAttempts } from '../auth/attempts.ts'
import type { BcryptPool } from '../auth/bcrypt-pool.ts'
import { createPace } from '../auth/pace.ts'
import { createRepeatedFailures } from '../auth/repeated-failures.ts'
import { createThrottle, type Throttle } from '../auth/throttle.ts'
import { createVerifiedCache } from '../auth/verified-cache.ts'
import { createVerifier } from '../auth/verifier.ts'
import type { Config } from '../settings/config.ts'
import { createAccessLog } from '../http/pipeline/report/access-log.ts'
import { createChallenges } from '../http/pipeline/login/challenge.ts'
import { createBodyCollector } from '../http/pipeline/collect-body.ts'
import { createDrainGate } from '../http/pipeline/drain-gate.ts'
import { createLimits } from '../http/limits.ts'
import { createLoginAudit } from '../http/pipeline/login/login-audit.ts'
import type { Log } from '../observability/log.ts'
import { createMetrics, type Metrics } from '../observability/metrics.ts'
import { createSignedTokens } from '../tokens/signed-tokens.ts'
import { createTokenVerifier } from '../tokens/token-verifier.ts'
import { FAILURE_KINDS } from '../upstream/failure.ts'
import { createUpstream } from '../upstream/upstream.ts'
import { createLastUsed, LAST_USED_FILE } from '../users/machine-passwords/last-used.ts'
import type { Users } from '../users/users.ts'

export interface RequestPartsOptions {
  readonly log: Log
  readonly users: Users
  readonly rules: RulesInForce | undefined
  readonly tokenKey: Buffer
  readonly affordable: number
  readonly bcryptPool: () => BcryptPool
  readonly now: () => number
}

export type RequestParts = ReturnType<typeof createRequestParts>

export function createRequestParts(config: Config, options: RequestPartsOptions) {
  const { log, affordable } = options
  const metrics = createMetrics()
  for (const kind of FAILURE_KINDS) metrics.upstreamFailed(kind, 0)
  const upstream = createUpstream({
    address: config.upstream,
    spliceMemory: config.spliceMemory,
    idleTimeoutMs: config.idleTimeout,
    responseTimeoutMs: config.responseTimeout,
    onFirstByte: (waitedMs) => {
      metrics.upstreamAnswered(waitedMs / 1000)
    },
  })
  const limits = createLimits(config, { log, metrics, affordable, clock: monotonicMs })
  const throttle = createThrottle(config.throttle, monotonicMs)
  return {
    gate: createDrainGate(limits.transfers),
    upstream,
    accessLog: createAccessLog(log),
    audit: createLoginAudit(log),
    limits,
    metrics,
    immutableTags: createImmutableTags(upstream.manifests),
    manifestBodies: createBodyCollector(MANIFEST_LIMITS),
    ...createPasswordParts(config, { ...options, throttle, metrics }),
    ...createTokenParts(config, options, throttle),
  }
}

const MANIFEST_LIMITS = {
  maxBytes: MAX_MANIFEST_BYTES,
  maxTotalBytes: 64 * 1024 * 1024,
  timeoutMs: 60_000,
} as const

interface PasswordPartsOptions extends Pick<RequestPartsOptions, 'users' | 'log' | 'bcryptPool'> {
  readonly throttle: Throttle
  readonly metrics: Metrics
}

function createPasswordParts(config: Config, options: PasswordPartsOptions) {
  const { users, throttle, log, metrics } = options
  const pool = options.bcryptPool()
  const pace = createPace({ limit: config.throttle, throttle, now: monotonicMs })
  const attempts = createAttempts({
    throttle,
    compare: (comparison) => pool.compare(comparison),
    threads: pool.threads,
    onTurn: (waitedMs) => {
      metrics.loginWaited(waitedMs / 1000)
    },
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
      metrics.loginAccepted('machine-password')
    },
    onAccepted: metrics.loginAccepted,
  })
  return { verifier, pace, attempts, pool, lastUsed }
}

function createTokenParts(
  { challenge, realm, tlsClientCa, tlsClientAuth }: Config,
  { users, rules, tokenKey, now }: RequestPartsOptions,
  throttle: Throttle,
) {
  const table = () => users.table
  const tokens = createSignedTokens({ key: tokenKey, now })
  const namesAnonymous = () => rules?.current.hasRules(ANONYMOUS) === true
  const demandsCertificate = tlsClientCa !== undefined && tlsClientAuth !== 'optional'
  return {
    tokens,
    tokenVerifier: createTokenVerifier({ tokens, table, throttle, now }),
    repeatedFailures: createRepeatedFailures({ table, now: monotonicMs }),
    namesAnonymous,
    challenges: createChallenges({ mode: challenge, realm, namesAnonymous, demandsCertificate }),
  }
}

// If the limits used the wall clock, a change of its time could make clients wait for hours.
function monotonicMs(): number {
  return performance.now()
}
