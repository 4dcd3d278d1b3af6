// Composition root: Config → loaded files → bound listeners → a running sidecar. The only file that sees the parts
// beside each other. Nothing is bound before certificate and users have been looked at.

import type { RequestListener } from 'node:http'
import type { CertificateInForce } from '../certificates/certificate-in-force.ts'
import { loadClientCa, type ClientCaInForce } from '../certificates/client-ca-in-force.ts'
import { openIssuedCertificate } from '../certificates/issued-certificate.ts'
import { operatorFilesOf } from '../certificates/operator-files.ts'
import { loadOperatorCertificate } from '../certificates/operator-certificate.ts'
import { createUncoveredNames } from '../certificates/names/uncovered-names.ts'
import type { Config } from '../settings/config.ts'
import { certificateDemandOf } from './certificate-demand.ts'
import { affordableConnections, openFilesLimit } from './file-descriptors.ts'
import { createAdminListener, type Readiness } from '../http/admin/admin-listener.ts'
import { createApp } from '../http/pipeline/pipeline.ts'
import type { BoundAddress } from '../http/bind.ts'
import type { DrainGate } from '../http/pipeline/drain-gate.ts'
import type { Limits } from '../http/limits.ts'
import { createListener, type Listener } from '../http/connections/listener.ts'
import type { Log } from '../observability/log.ts'
import { pageFactsOf, statusFiguresOf } from './page-facts.ts'
import { readinessOf } from './readiness.ts'
import { createParts, type Closer } from './request-parts.ts'
import { registerStateMetrics } from './state-metrics.ts'
import { loadUsers, type Users } from '../users/users.ts'

export interface Sidecar {
  readonly address: BoundAddress
  readonly adminAddress: BoundAddress | undefined
  /** Where what is served comes from; its `root` is what clients can be told to trust. */
  readonly certificate: CertificateInForce
  readonly users: Users
  /** bcrypt computations since the start; for tests and figures. */
  readonly comparisons: number
  readiness(): Promise<Readiness>
  /** Loads all watched files again. */
  reload(): Promise<void>
  /**
   * Takes no more connections, lets what is in flight finish, and leaves nothing running. Resolves to whether
   * everything finished before the deadline; what had not is cut.
   */
  drain(deadlineMs: number): Promise<boolean>
}

/** Starts a sidecar. Rejects, with nothing left running, when a file is wrong or an address cannot be bound. */
export async function createSidecar(config: Config, log: Log): Promise<Sidecar> {
  const closers: Closer[] = []
  try {
    return await compose(config, log, closers)
  } catch (error) {
    await closeAll(closers)
    throw error
  }
}

async function compose(config: Config, log: Log, closers: Closer[]): Promise<Sidecar> {
  const certificate = await openCertificate(config, log)
  closers.push(() => certificate.close())
  const users = await loadUsers({ file: config.users, pollMs: config.watchPoll, log })
  closers.push(() => users.close())
  const clientCa = await openClientCa(config, log)
  if (clientCa !== undefined) closers.push(() => clientCa.close())
  const affordable = affordableConnections(
    { wanted: config.maxConnections, openFiles: await openFilesLimit() },
    log,
  )
  const parts = createParts(config, { log, users, closers, affordable })
  const { gate, upstream, pool, limits, metrics } = parts
  if (config.adminListen !== 'off') metrics.measureProcess()
  registerStateMetrics(metrics, { users, certificate, clientCa, upstream, gate, limits, pool })
  const readiness = () => readinessOf({ users, certificate, clientCa, upstream, gate })
  const figures = () => statusFiguresOf({ users, certificate, gate })
  const admin =
    config.adminListen === 'off'
      ? undefined
      : await createAdminListener({ ...config.adminListen, readiness, figures, metrics })
  if (admin !== undefined) closers.push(() => admin.close())
  const handler = createApp({
    ...parts,
    log,
    realm: config.realm,
    hasUsers: () => users.isLoaded,
    demand: certificateDemandOf(config, users, clientCa),
    rootPem: () => certificate.root?.pem,
    page: pageFactsOf(config, certificate),
    hsts: config.hsts,
  })
  const listener = await listen(config, { certificate, clientCa, handler, limits, log })
  return {
    address: listener.address,
    adminAddress: admin?.address,
    certificate,
    users,
    get comparisons() {
      return pool.comparisons
    },
    readiness,
    reload: () => reloadAll([users, certificate, ...(clientCa === undefined ? [] : [clientCa])]),
    drain: (deadlineMs) => drain({ gate, listener, closers, deadlineMs }),
  }
}

function openCertificate(config: Config, log: Log): Promise<CertificateInForce> {
  const files = operatorFilesOf(config)
  return files === undefined
    ? openIssuedCertificate(config, log)
    : loadOperatorCertificate({ files, pollMs: config.watchPoll, log })
}

async function openClientCa(config: Config, log: Log): Promise<ClientCaInForce | undefined> {
  const { tlsClientCa: file, watchPoll: pollMs } = config
  return file === undefined ? undefined : loadClientCa({ file, pollMs, log })
}

// All at once: one that fails must not keep the others from being read.
async function reloadAll(parts: readonly { reload(): Promise<void> }[]): Promise<void> {
  await Promise.all(parts.map((part) => part.reload()))
}

interface Served {
  readonly certificate: CertificateInForce
  readonly clientCa: ClientCaInForce | undefined
  readonly handler: RequestListener
  readonly limits: Limits
  readonly log: Log
}

async function listen(
  config: Config,
  { certificate, clientCa, handler, limits, log }: Served,
): Promise<Listener> {
  const [served, accepted] = [certificate.current, clientCa?.current]
  const listener = await createListener({
    certificate: served,
    clientCaPem: accepted?.pem,
    handler,
    idleTimeoutMs: config.idleTimeout,
    askedNames: createUncoveredNames({ certificate, log }),
    limits,
    ...config.listen,
  })
  certificate.onChange((next) => {
    listener.serve(next)
  })
  clientCa?.onChange(({ pem }) => {
    listener.accept(pem)
  })
  // They may have been replaced while the address was being bound.
  if (certificate.current !== served) listener.serve(certificate.current)
  if (clientCa !== undefined && clientCa.current !== accepted) listener.accept(clientCa.current.pem)
  return listener
}

interface Drain {
  readonly gate: DrainGate
  readonly listener: Listener
  readonly closers: readonly Closer[]
  readonly deadlineMs: number
}

// Ready turns false first, so that whoever routes to us stops before connections are refused.
async function drain({ gate, listener, closers, deadlineMs }: Drain): Promise<boolean> {
  gate.beginDrain()
  listener.stopAccepting()
  const isDrained = await withDeadline(gate.drained(), deadlineMs)
  await listener.close()
  await closeAll(closers)
  return isDrained
}

async function withDeadline(done: Promise<void>, deadlineMs: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<false>((resolve) => {
    timer = setTimeout(resolve, deadlineMs, false)
  })
  const isDone = await Promise.race([done.then(() => true), late])
  clearTimeout(timer)
  return isDone
}

// The last one made is the first one closed: it may use the earlier ones.
async function closeAll(closers: readonly Closer[]): Promise<void> {
  for (const close of closers.toReversed()) await close()
}
