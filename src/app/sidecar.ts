// Composes a running sidecar from settings.

import { createRulesReader, type RulesReader } from '../access/rules-file/read-rules.ts'
import { createBcryptPool, type BcryptPool } from '../auth/bcrypt-pool.ts'
import type { CertificateInForce } from '../certificates/certificate-in-force.ts'
import type { Machine } from '../certificates/names/machine-facts.ts'
import { openStatusKey } from '../certificates/state-folder/status-key-file.ts'
import type { Config } from '../settings/config.ts'
import { checkConnectionMigration } from './connection-migration.ts'
import { affordableConnections, openFilesLimit } from './file-descriptors.ts'
import { createAdminListener, type AdminListener, type Readiness } from '../http/admin/admin-listener.ts'
import type { FreezeClock } from '../freeze/write-freeze.ts'
import type { BoundAddress } from '../http/bind.ts'
import { createActivity, type Activity } from '../observability/activity/activity.ts'
import { copyToAudit } from '../observability/audited-log.ts'
import { openAuditStream, type AuditStream } from '../observability/audit-stream.ts'
import type { Log } from '../observability/log.ts'
import { watchLog } from '../observability/watched-log.ts'
import { loadFiles, type LoadOptions } from './load-files.ts'
import { createPublicReason } from './status/public-reason.ts'
import { readinessOf } from './readiness.ts'
import { createRequestParts, type RequestParts, type RequestPartsOptions } from './request-parts.ts'
import { closeOnFailure, shutDown } from './shutdown.ts'
import { registerStateMetrics, type MeasuredParts } from './metrics/state-metrics.ts'
import { createStatus, type StatusView } from './status/status.ts'
import { openTlsListener } from './tls-listener.ts'
import type { Users } from '../users/users.ts'

export interface Sidecar {
  readonly address: BoundAddress
  readonly adminAddress: BoundAddress | undefined
  readonly certificate: CertificateInForce
  readonly users: Users
  readonly comparisons: number
  readiness(): Promise<Readiness>
  reload(): Promise<void>
  reopenAudit(): void
  /**
   * Goes on accepting connections for the delay. Then transfers may finish. Resolves to false if the timeout passed and
   * requests were cut.
   */
  drain(timeoutMs: number, delayMs?: number): Promise<boolean>
}

export interface SidecarOptions {
  /** Milliseconds since 1970, for tokens. */
  readonly now?: () => number
  /** Each sidecar closes its pool and its reader. */
  readonly bcryptPool?: () => BcryptPool
  readonly rulesReader?: () => RulesReader
  readonly freezeClock?: FreezeClock
  /** The names of this machine for the leaf. By default they are read from the system each time. */
  readonly machine?: Machine
  readonly stdout?: NodeJS.WritableStream
}

/** Rejects when a file is invalid or an address cannot be bound. Then no part is left open. */
export async function createSidecar(
  config: Config,
  log: Log,
  {
    now = Date.now,
    bcryptPool = createBcryptPool,
    rulesReader = createRulesReader,
    freezeClock = {},
    machine,
    stdout,
  }: SidecarOptions = {},
): Promise<Sidecar> {
  // The audit stream opens first, so that it records which files are loaded.
  const auditStream = await openAuditStream(config.audit, { log, stdout })
  const activity = createActivity()
  const listeners = [activity.logged, ...(auditStream === undefined ? [] : [copyToAudit(auditStream)])]
  const watched = watchLog(log, listeners)
  const options = { log: watched, now, bcryptPool, rulesReader, freezeClock, machine, auditStream, activity }
  return closeOnFailure(openSidecar(config, options), { auditStream })
}

interface OpenOptions extends LoadOptions {
  readonly now: () => number
  readonly bcryptPool: () => BcryptPool
  readonly auditStream: AuditStream | undefined
  readonly activity: Activity
}

async function openSidecar(config: Config, options: OpenOptions): Promise<Sidecar> {
  const { log, now, bcryptPool, auditStream, activity } = options
  // An address is bound only after all files are loaded.
  const files = await loadFiles(config, options)
  if (config.reusePort) await checkConnectionMigration(log)
  const opening = openRequestParts(config, { ...files, log, now, bcryptPool })
  const requestParts = {
    ...files,
    ...(await closeOnFailure(opening, files)),
    auditStream,
    activity,
    publicReason: createPublicReason(config),
  }
  const status = createStatus(requestParts, { log, clock: monotonicMs })
  const parts = { ...requestParts, ...status.view, status }
  const admin = await closeOnFailure(openAdminListener(config, parts, log), parts)
  const binding = openTlsListener(config, parts, log)
  const listener = await closeOnFailure(binding, { ...parts, admin })
  const { certificate, users, clientCa, rules, writeFreeze, pool } = parts
  return {
    address: listener.address,
    adminAddress: admin?.address,
    certificate,
    users,
    get comparisons() {
      return pool.comparisons
    },
    readiness: () => readinessOf(parts),
    reload: () => {
      auditStream?.reopen()
      return reloadAll([users, certificate, clientCa, rules, writeFreeze])
    },
    reopenAudit: () => auditStream?.reopen(),
    drain: (timeoutMs, delayMs = 0) => shutDown({ ...parts, admin, listener }, { delayMs, timeoutMs }),
  }
}

async function openRequestParts(
  config: Config,
  options: Omit<RequestPartsOptions, 'affordable'>,
): Promise<RequestParts> {
  const openFiles = await openFilesLimit()
  const affordable = affordableConnections({ wanted: config.maxConnections, openFiles }, options.log)
  return createRequestParts(config, { ...options, affordable })
}

// Health and metrics describe one process, so processes do not share this address.
const SHARED_ADMIN_ADDRESS =
  'another process uses this port; with SIDECAR_REUSE_PORT each process needs its own admin address'

async function openAdminListener(
  { adminListen, stateDir, reusePort }: Config,
  parts: MeasuredParts & StatusView & Pick<RequestParts, 'metrics'>,
  log: Log,
): Promise<AdminListener | undefined> {
  const { metrics } = parts
  registerStateMetrics(metrics, parts)
  if (adminListen === 'off') return undefined
  metrics.measureProcess()
  return createAdminListener({
    ...adminListen,
    whenTaken: reusePort ? SHARED_ADMIN_ADDRESS : undefined,
    readiness: () => readinessOf(parts),
    metrics,
    statusSource: parts.statusSource,
    liveStatus: parts.liveStatus,
    statusKey: await openStatusKey(stateDir, log),
  })
}

function monotonicMs(): number {
  return performance.now()
}

async function reloadAll(parts: readonly ({ reload(): Promise<void> } | undefined)[]): Promise<void> {
  await Promise.all(parts.map(async (part) => part?.reload()))
}
