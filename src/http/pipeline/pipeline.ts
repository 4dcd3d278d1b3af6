// Lists everything that a request of the TLS listener passes.

import { Hono } from 'hono'
import type { RequestListener } from 'node:http'
import { errorCode } from '../../errors/errors.ts'
import type { Activity } from '../../observability/activity/activity.ts'
import type { AuditStream } from '../../observability/audit-stream.ts'
import type { Log } from '../../observability/log.ts'
import type { Metrics } from '../../observability/metrics.ts'
import type { Upstream } from '../../upstream/upstream.ts'
import type { AccessLog } from './report/access-log.ts'
import { admit, METHODS } from './admit.ts'
import { authenticate } from './login/authenticate.ts'
import { authorize } from './authorize.ts'
import { answerPreflights, refuseForeignWrites, shareAnswers } from './cross-origin.ts'
import { demandClientCertificate, refuseOutdated } from './login/client-certificate.ts'
import { forward } from './forward.ts'
import { issueToken, type IssueTokenOptions } from './login/issue-token.ts'
import type { IsProxy } from '../client-address.ts'
import type { Limits } from '../limits.ts'
import type { CertificateDemand } from '../connections/certificate-verdict.ts'
import { reportHostHeaders, type RequestedNames } from '../connections/requested-names.ts'
import { oneAtATime } from '../connections/request-turns.ts'
import { holdWrites, ifWaited, type HoldWritesOptions } from './hold-writes.ts'
import { keepImmutableTags, type ImmutableTagsOptions } from './keep-immutable-tags.ts'
import { createReporter, observe } from './report/observe.ts'
import { addPages, type PageFacts } from '../pages/routes.ts'
import { addStatus, type StatusRoutesOptions } from '../status/status-routes.ts'
import { refuse, type Env, type PipelineContext, type Step } from './step.ts'
import { trackAnswers } from './track-answers.ts'
import { sendAnswer, type Answered } from '../answers.ts'
import { refusal } from '../refusals.ts'
import { createRequestListener } from '../request-listener.ts'

export interface AppOptions
  extends
    IssueTokenOptions,
    Pick<HoldWritesOptions, 'writeFreeze'>,
    Pick<ImmutableTagsOptions, 'immutableTags' | 'manifestBodies'>,
    Pick<StatusRoutesOptions, 'statusSource' | 'liveStatus' | 'stillValid'> {
  readonly log: Log
  readonly accessLog: AccessLog
  readonly auditStream: AuditStream | undefined
  readonly activity: Activity
  readonly metrics: Metrics
  readonly upstream: Upstream
  readonly limits: Limits
  readonly isProxy: IsProxy
  readonly requestedNames: RequestedNames
  readonly demand: CertificateDemand | undefined
  /** PEM; undefined if the sidecar does not have the root. */
  readonly rootPem: () => string | undefined
  readonly page: PageFacts
  /** In seconds. */
  readonly hsts: number | 'off'
  readonly corsOrigins: readonly string[]
}

const PEM_HEADERS = { 'Content-Type': 'application/x-pem-file', 'X-Content-Type-Options': 'nosniff' }

const NO_ROOT =
  'the certificate of this registry was issued elsewhere: clients that do not trust it get the root from its issuer'

export function createApp(options: AppOptions): RequestListener {
  const { limits, requestedNames } = options
  const around = [
    trackAnswers({
      report: createReporter(options),
      transfers: limits.transfers,
    }),
    oneAtATime,
    limits.connections.limitRequests,
    reportHostHeaders(requestedNames),
  ]
  const steps = createRequestListener(createSteps(options))
  return around.reduceRight((inner, wrap) => wrap(inner), steps)
}

function createSteps(options: AppOptions): Hono<Env> {
  const { log, metrics, gate, limits, isProxy, demand, rootPem, page, hsts, corsOrigins } = options
  const observers = { metrics, audit: limits.audit, log }
  const beforeLogin =
    demand === undefined ? [] : [refuseOutdated(), demandClientCertificate({ ...options, demand })]
  const afterLogin = demand === undefined ? [] : [refuseOutdated()]
  const login = [...beforeLogin, authenticate(options), ...afterLogin, authorize(options)]
  const app = new Hono<Env>({ strict: true })
  app.use(observe(isProxy))
  if (hsts !== 'off') app.use(strictTransport(hsts))
  if (corsOrigins.length > 0) app.use(shareAnswers(corsOrigins))
  app.use(admit(gate))
  if (corsOrigins.length > 0) app.use(answerPreflights(corsOrigins), refuseForeignWrites(corsOrigins))
  app.get('/-/ca.crt', (c) => {
    const pem = rootPem()
    return pem === undefined
      ? refuse(c, refusal('notFound', NO_ROOT), 'no root to hand out')
      : sendAnswer(c.env, { status: 200, headers: PEM_HEADERS, body: pem })
  })
  addPages(app, page)
  const { table: connections } = limits.connections
  addStatus(app, { beforeLogin, afterLogin }, { ...options, connections })
  app.on(['GET', 'POST'], ['/token'], ...beforeLogin, issueToken(options))
  app.on(
    [...METHODS],
    ['/v2', '/v2/*'],
    ...login,
    holdWrites({ ...options, connections }),
    ...login.map(ifWaited),
    limits.transfers.step,
    keepImmutableTags({ ...options, ...observers }),
    forward({ ...options, ...observers }),
  )
  app.notFound((c) => refuse(c, refusal('notFound', 'this address serves /v2/ only'), 'no such path'))
  app.onError((error, c) => (isNotLoaded(error) ? answerNotLoaded : answerBug)(log, c, error))
  return app
}

/** RFC 6797. Off by default, because it applies to every port of the host, also to plain-HTTP pages. */
function strictTransport(seconds: number): Step {
  return async function addStrictTransport(c, next) {
    c.env.outgoing.setHeader('Strict-Transport-Security', `max-age=${seconds}`)
    await next()
  }
}

function isNotLoaded(error: Error): boolean {
  return NOT_LOADED_CODES.has(errorCode(error) ?? '')
}

const NOT_LOADED_CODES = new Set(['ERR_MODULE_NOT_FOUND', 'MODULE_NOT_FOUND', 'ERR_WORKER_INIT_FAILED'])

function answerNotLoaded(log: Log, c: PipelineContext, error: Error): Answered {
  const hint =
    'an update may have replaced the files of the program, or threads are lacking: restart the sidecar'
  log.error(
    { event: 'program-not-loaded', id: c.var.facts.id, err: error, hint },
    'a part of the program could not be loaded; the request was refused',
  )
  return refuse(c, refusal('unavailable', 'the sidecar needs a restart; ask its operator'), 'not loaded')
}

function answerBug(log: Log, c: PipelineContext, error: Error): Answered {
  log.error(
    { event: 'request-bug', id: c.var.facts.id, err: error },
    'unexpected error while handling a request',
  )
  return refuse(c, refusal('bug', `internal error; the log has it under ${c.var.facts.id}`), 'bug')
}
