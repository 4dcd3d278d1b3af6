// Opens the TLS listener and keeps its certificates current.

import type { RulesInForce } from '../access/rules-in-force.ts'
import type { CertificateInForce } from '../certificates/certificate-in-force.ts'
import type { ClientCaInForce } from '../certificates/client-ca-in-force.ts'
import { createUncoveredNames } from '../certificates/names/uncovered-names.ts'
import type { WriteFreeze } from '../freeze/write-freeze.ts'
import { createProxyList } from '../http/client-address.ts'
import { createListener, TICKET_KEYS_LIFE_MS, type Listener } from '../http/connections/listener.ts'
import { createApp } from '../http/pipeline/pipeline.ts'
import type { Activity } from '../observability/activity/activity.ts'
import type { AuditStream } from '../observability/audit-stream.ts'
import type { Log } from '../observability/log.ts'
import type { CertificateBundle } from '../pki/certificate.ts'
import type { ClientCa } from '../pki/client-ca-set.ts'
import type { Config } from '../settings/config.ts'
import type { Users } from '../users/users.ts'
import { certificateDemandOf } from './certificate-demand.ts'
import { pageFactsOf } from './page-facts.ts'
import type { RequestParts } from './request-parts.ts'
import type { StatusView } from './status/status.ts'
import { createViewerCheck } from './status/viewer-check.ts'

export interface ListenerParts extends RequestParts, StatusView {
  readonly certificate: CertificateInForce
  readonly clientCa: ClientCaInForce | undefined
  readonly users: Users
  readonly rules: RulesInForce | undefined
  readonly writeFreeze: WriteFreeze
  readonly auditStream: AuditStream | undefined
  readonly activity: Activity
}

/** Rejects when the address cannot be bound or a certificate cannot be served. Then nothing is bound. */
export async function openTlsListener(config: Config, parts: ListenerParts, log: Log): Promise<Listener> {
  const { certificate, clientCa, users, rules, limits } = parts
  const isProxy = createProxyList(config.trustedProxies)
  const requestedNames = createUncoveredNames({ certificate, log })
  const handler = createApp({
    ...parts,
    log,
    isProxy,
    requestedNames,
    hasUsers: () => users.isLoaded,
    demand: certificateDemandOf(config, users, clientCa),
    rules: () => rules?.current,
    stillValid: createViewerCheck(() => ({ table: users.table, rules: rules?.current })),
    rootPem: () => certificate.root?.pem,
    page: pageFactsOf(config, certificate),
    hsts: config.hsts,
    corsOrigins: config.corsOrigins,
  })
  const [served, accepted] = [certificate.current, clientCa?.current]
  const listener = await createListener({
    certificate: served,
    clientCaPem: accepted?.pem,
    handler,
    idleTimeoutMs: config.idleTimeout,
    requestedNames,
    limits,
    proxies: { isProxy, protocol: config.proxyProtocol },
    ticketKeysLifeMs: TICKET_KEYS_LIFE_MS,
    ...config.listen,
    reusePort: config.reusePort,
  })
  try {
    followChanges(listener, parts, { served, accepted })
  } catch (error) {
    await listener.close()
    throw error
  }
  return listener
}

interface InUse {
  readonly served: CertificateBundle
  readonly accepted: ClientCa | undefined
}

function followChanges(
  listener: Listener,
  { certificate, clientCa }: Pick<ListenerParts, 'certificate' | 'clientCa'>,
  { served, accepted }: InUse,
): void {
  certificate.onChange((next) => {
    listener.serve(next)
  })
  clientCa?.onChange(({ pem }) => {
    listener.accept(pem)
  })
  // The files may have changed before this code listened for changes.
  if (certificate.current !== served) listener.serve(certificate.current)
  if (clientCa !== undefined && clientCa.current !== accepted) listener.accept(clientCa.current.pem)
}
