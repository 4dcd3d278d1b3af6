// The pipeline of the TLS listener as one visible list.

import { getRequestListener } from '@hono/node-server'
import { Hono } from 'hono'
import type { RequestListener } from 'node:http'
import { errorMessage } from '../../errors/errors.ts'
import type { Log } from '../../observability/log.ts'
import type { Metrics } from '../../observability/metrics.ts'
import type { Upstream } from '../../upstream/upstream.ts'
import type { AccessLog } from './access-log.ts'
import { admit, METHODS } from './admit.ts'
import { authenticate, type AuthenticateOptions } from './authenticate.ts'
import { demandClientCertificate, refuseOutdated, type CertificateDemand } from './client-certificate.ts'
import { countInFlight } from './drain-gate.ts'
import { forward } from './forward.ts'
import type { Limits } from '../limits.ts'
import { observe } from './observe.ts'
import { oneAtATime } from '../connections/request-turns.ts'
import { addPages, type PageFacts } from '../pages/routes.ts'
import { refuse, type Env, type PipelineContext } from './step.ts'
import { strictTransport } from './strict-transport.ts'
import { bodyOf, commonHeaders, refusal } from '../refusals.ts'

export interface AppOptions extends AuthenticateOptions {
  readonly log: Log
  readonly accessLog: AccessLog
  readonly metrics: Metrics
  readonly upstream: Upstream
  readonly limits: Limits
  /** What is asked of clients' certificates. Undefined: none is asked for. */
  readonly demand?: CertificateDemand | undefined
  /** The root certificate, PEM: clients may fetch what they are to trust. Undefined when we do not have it. */
  readonly rootPem: () => string | undefined
  /** What the pages for a person may say. */
  readonly page: PageFacts
  /** Seconds for which browsers are to take this host for one that speaks HTTPS only. */
  readonly hsts: number | 'off'
}

const NO_ROOT =
  'the certificate of this registry was issued elsewhere: clients that do not trust it get the root from its issuer'

export function createApp(options: AppOptions): RequestListener {
  const { log, accessLog, metrics, gate, upstream, limits, demand, rootPem, page, hsts } = options
  const app = new Hono<Env>({ strict: true })
  app.use(observe(accessLog, metrics))
  if (hsts !== 'off') app.use(strictTransport(hsts))
  app.use(admit(gate))
  app.get('/-/ca.crt', (c) => {
    const pem = rootPem()
    return pem === undefined
      ? refuse(c, refusal('notFound', NO_ROOT), 'no root to hand out')
      : c.body(pem, 200, { 'Content-Type': 'application/x-pem-file', 'X-Content-Type-Options': 'nosniff' })
  })
  addPages(app, page)
  app.on(
    [...METHODS],
    ['/v2', '/v2/*'],
    ...(demand === undefined ? [] : [refuseOutdated(), demandClientCertificate({ ...options, demand })]),
    authenticate(options),
    ...(demand === undefined ? [] : [refuseOutdated()]),
    limits.transfers.step,
    countInFlight(gate),
    forward(upstream, { metrics, audit: limits.audit }),
  )
  app.notFound((c) => refuse(c, refusal('notFound', 'this address serves /v2/ only'), 'no such path'))
  app.onError((error, c) => answerBug(log, c, error))
  const listener = getRequestListener(app.fetch, {
    // With its own global Response the marker for "already answered" turns into an empty 200.
    overrideGlobalObjects: false,
    // Bodies that nobody read are ours to end: see linger.ts.
    autoCleanupIncoming: false,
    errorHandler: (error) => answerUnroutable(accessLog, error),
  })
  return oneAtATime(limits.connections.perRequest((incoming, outgoing) => void listener(incoming, outgoing)))
}

function answerBug(log: Log, c: PipelineContext, error: Error): Response {
  log.error({ id: c.var.facts.id, err: error }, 'a request met a bug')
  return refuse(c, refusal('bug', `internal error; the log has it under ${c.var.facts.id}`), 'bug')
}

// A Host header that makes no URL never reaches the pipeline. Nothing has been read or forwarded by then.
function answerUnroutable(accessLog: AccessLog, error: unknown): Response {
  accessLog.unroutable(errorMessage(error))
  const body = bodyOf(refusal('badRequest', 'missing or malformed host header'))
  return new Response(body, { status: 400, headers: { ...commonHeaders(body), Connection: 'close' } })
}
