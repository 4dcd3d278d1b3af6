// Composes a running sidecar from settings.

import { loadRules, type RulesInForce } from '../access/rules-in-force.ts'
import type { CertificateInForce } from '../certificates/certificate-in-force.ts'
import { loadClientCa, type ClientCaInForce } from '../certificates/client-ca-in-force.ts'
import { openIssuedCertificate } from '../certificates/issued-certificate.ts'
import { operatorFilesOf } from '../certificates/operator-files.ts'
import { loadOperatorCertificate } from '../certificates/operator-certificate.ts'
import { openStatusKey } from '../certificates/state-folder/status-key-file.ts'
import { openTokenKey } from '../certificates/state-folder/token-key.ts'
import { statePlaceOf } from '../certificates/state-place.ts'
import type { Config } from '../settings/config.ts'
import { affordableConnections, openFilesLimit } from './file-descriptors.ts'
import { createAdminListener, type AdminListener, type Readiness } from '../http/admin/admin-listener.ts'
import type { BoundAddress } from '../http/bind.ts'
import { createActivity, type Activity } from '../observability/activity/activity.ts'
import { copyToAudit } from '../observability/audited-log.ts'
import { openAuditStream, type AuditStream } from '../observability/audit-stream.ts'
import type { Log } from '../observability/log.ts'
import { watchLog } from '../observability/watched-log.ts'
import { createPublicReason } from './public-reason.ts'
import { readinessOf } from './readiness.ts'
import { createRequestParts, type RequestParts, type RequestPartsOptions } from './request-parts.ts'
import { closeOnFailure, shutDown } from './shutdown.ts'
import { registerStateMetrics, type MeasuredParts } from './state-metrics.ts'
import { createStatus, type StatusView } from './status.ts'
import { openTlsListener } from './tls-listener.ts'
import { loadUsers, type Users } from '../users/users.ts'

export interface Sidecar {
  readonly address: BoundAddress
  readonly adminAddress: BoundAddress | undefined
  readonly certificate: CertificateInForce
  readonly users: Users
  readonly comparisons: number
  readiness(): Promise<Readiness>
  reload(): Promise<void>
  reopenAudit(): void
  /** Resolves to false if the deadline passed and requests were cut. */
  drain(deadlineMs: number): Promise<boolean>
}

interface Files {
  readonly tokenKey: Buffer
  readonly certificate: CertificateInForce
  readonly users: Users
  readonly clientCa: ClientCaInForce | undefined
  readonly rules: RulesInForce | undefined
}

export interface SidecarOptions {
  /** Milliseconds since 1970, for tokens. */
  readonly now?: () => number
  readonly stdout?: NodeJS.WritableStream
}

/** Rejects when a file is invalid or an address cannot be bound. Then no part is left open. */
export async function createSidecar(
  config: Config,
  log: Log,
  { now = Date.now, stdout }: SidecarOptions = {},
): Promise<Sidecar> {
  // First, so that it records which files are loaded.
  const auditStream = await openAuditStream(config.audit, { log, stdout })
  const activity = createActivity()
  const listeners = [activity.logged, ...(auditStream === undefined ? [] : [copyToAudit(auditStream)])]
  const opening = openSidecar(config, { log: watchLog(log, listeners), now, auditStream, activity })
  return closeOnFailure(opening, { auditStream })
}

interface OpenOptions {
  readonly log: Log
  readonly now: () => number
  readonly auditStream: AuditStream | undefined
  readonly activity: Activity
}

async function openSidecar(config: Config, options: OpenOptions): Promise<Sidecar> {
  const { log, now, auditStream, activity } = options
  // An address is bound only after all files are loaded.
  const files = await loadFiles(config, log)
  const opening = openRequestParts(config, { ...files, log, now })
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
  const { certificate, users, clientCa, rules, pool } = parts
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
      return reloadAll([users, certificate, clientCa, rules])
    },
    reopenAudit: () => auditStream?.reopen(),
    drain: (deadlineMs) => shutDown({ ...parts, admin, listener }, deadlineMs),
  }
}

async function loadFiles(config: Config, log: Log): Promise<Files> {
  const { watchPoll: pollMs } = config
  const operatorFiles = operatorFilesOf(config)
  const certificate = await (operatorFiles === undefined
    ? openIssuedCertificate(config, log)
    : loadOperatorCertificate({ files: operatorFiles, pollMs, log }))
  const users = await closeOnFailure(loadUsers({ file: config.users, pollMs, log }), { certificate })
  const clientCa = await closeOnFailure(openClientCa(config, log), { certificate, users })
  const rules = await closeOnFailure(openRules(config, { users, log }), { certificate, users, clientCa })
  const tokenKey = await closeOnFailure(openTokenKey(statePlaceOf(config), log), {
    certificate,
    users,
    clientCa,
    rules,
  })
  return { certificate, users, clientCa, rules, tokenKey }
}

async function openRequestParts(
  config: Config,
  options: Omit<RequestPartsOptions, 'affordable'>,
): Promise<RequestParts> {
  const openFiles = await openFilesLimit()
  const affordable = affordableConnections({ wanted: config.maxConnections, openFiles }, options.log)
  return createRequestParts(config, { ...options, affordable })
}

async function openAdminListener(
  { adminListen, stateDir }: Config,
  parts: MeasuredParts & StatusView & Pick<RequestParts, 'metrics'>,
  log: Log,
): Promise<AdminListener | undefined> {
  const { metrics } = parts
  registerStateMetrics(metrics, parts)
  if (adminListen === 'off') return undefined
  metrics.measureProcess()
  return createAdminListener({
    ...adminListen,
    readiness: () => readinessOf(parts),
    metrics,
    statusSource: parts.statusSource,
    liveStatus: parts.liveStatus,
    statusKey: await openStatusKey(stateDir, log),
  })
}

async function openClientCa(config: Config, log: Log): Promise<ClientCaInForce | undefined> {
  const { tlsClientCa: file, watchPoll: pollMs } = config
  return file === undefined ? undefined : loadClientCa({ file, pollMs, log })
}

async function openRules(
  { access: file, watchPoll: pollMs }: Config,
  { users, log }: { readonly users: Users; readonly log: Log },
): Promise<RulesInForce | undefined> {
  if (file === undefined) return undefined
  const usernames = () => (users.isLoaded ? users.table.entries : undefined)
  return loadRules({ file, pollMs, log, usernames })
}

function monotonicMs(): number {
  return performance.now()
}

async function reloadAll(parts: readonly ({ reload(): Promise<void> } | undefined)[]): Promise<void> {
  await Promise.all(parts.map(async (part) => part?.reload()))
}
