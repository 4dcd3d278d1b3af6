// Forwards verified requests to the upstream; the last step.

import type { Handler } from 'hono'
import type { IncomingMessage } from 'node:http'
import { isDigest } from '../../access/repository-name.ts'
import type { WriteFreeze } from '../../freeze/write-freeze.ts'
import type { Log } from '../../observability/log.ts'
import type { Metrics } from '../../observability/metrics.ts'
import type { ForwardContext } from '../../upstream/exchange.ts'
import type { FailureKind, UpstreamFailure } from '../../upstream/failure.ts'
import type { Upstream } from '../../upstream/upstream.ts'
import type { LimitAudit } from '../limit-audit.ts'
import { usernameOf, type RequestFacts } from '../request-facts.ts'
import { pauseIdleTimer, type Env, type PipelineContext } from './step.ts'
import { traceParentOf } from './report/trace-parent.ts'
import { refusal, sendRefusal, type Refusal } from '../refusals.ts'
import { ANSWERED } from '../answers.ts'

const REFUSAL_FOR = {
  unreachable: refusal('badGateway', 'the registry cannot be reached'),
  'broke-off': refusal('badGateway', 'the registry cannot be reached'),
  'demands-login': refusal('badGateway', 'the registry behind demands a login of its own'),
  'timed-out': refusal('timedOut', 'the registry did not answer in time'),
  // A 503, so that no client concludes that the registry is down.
  exhausted: refusal('unavailable', 'too many connections; try again', { 'Retry-After': '5' }),
} as const satisfies Record<Exclude<FailureKind, 'client-closed'>, Refusal>

export interface FailureObservers {
  readonly metrics: Pick<Metrics, 'upstreamFailed'>
  readonly audit: LimitAudit
  readonly log: Log
}

export interface ForwardOptions extends FailureObservers {
  readonly upstream: Upstream
  readonly writeFreeze: Pick<WriteFreeze, 'isFrozen'>
}

// The registry may be restarted during a freeze, and pulls must go on.
const PATIENCE_MS = 10_000

export function forward({ upstream, writeFreeze, ...observers }: ForwardOptions): Handler<Env> {
  return function forwardRequest(c) {
    const { incoming, outgoing } = c.env
    const retryUntil = writeFreeze.isFrozen ? performance.now() + PATIENCE_MS : 0
    const context = { ...forwardContextOf(c, observers), retryUntil }
    if (outgoing.destroyed) return ANSWERED
    invite(c)
    // From here the upstream's watchdog measures idle time.
    pauseIdleTimer(outgoing)
    if (observers.log.isDebug) logForwarded(observers.log, c)
    upstream.forward(incoming, outgoing, context)
    return ANSWERED
  }
}

export function invite({ env: { incoming, outgoing } }: PipelineContext): void {
  // HTTP/1.0 has no interim answers (RFC 9110 §10.1.1).
  if (incoming.headers.expect !== undefined && incoming.httpVersionMinor > 0) outgoing.writeContinue()
}

/** Throws for a request that was not verified and authorized. */
export function forwardContextOf(c: PipelineContext, { metrics, audit }: FailureObservers): ForwardContext {
  const { address, id, subject, target } = c.var.facts
  const username = usernameOf(c.var.facts)
  if (subject === undefined) throw new Error('a request reached the upstream without authentication')
  if (target === undefined) throw new Error('a request reached the upstream without authorization')
  const onFailure = (failure: UpstreamFailure) => {
    metrics.upstreamFailed(failure.kind)
    if (failure.kind === 'exhausted') audit.reached('file-descriptors', failure.cause)
    answerFailure(c, failure)
  }
  const onAnswer = noteAnswer(c.env.incoming.method, c.var.facts)
  return { username, address, requestId: id, target, onFailure, onAnswer }
}

function noteAnswer(
  method: string | undefined,
  facts: RequestFacts,
): ((answer: IncomingMessage) => void) | undefined {
  if (method === 'GET')
    return ({ headers: { 'content-length': length } }) => {
      if (length !== undefined) facts.answerLength = Number(length)
    }
  if (method !== 'PUT') return undefined
  // OCI distribution specification, "Pushing Manifests".
  return ({ headers: { 'docker-content-digest': digest } }) => {
    if (typeof digest === 'string' && isDigest(digest)) facts.digest = digest
  }
}

// Only for verified users, so that no one else fills the log. The query may carry secrets.
export function logForwarded(log: Log, { env: { incoming }, var: { facts } }: PipelineContext): void {
  const { id, address, target = '' } = facts
  const path = target.split('?', 1)[0]
  const traceparent = traceParentOf(incoming.headers['traceparent'])
  const request = { id, user: usernameOf(facts), method: incoming.method, path, address, traceparent }
  log.debug({ event: 'request-forwarded', ...request }, 'request sent to the registry')
}

function answerFailure(c: PipelineContext, failure: UpstreamFailure): void {
  const { incoming, outgoing } = c.env
  c.var.facts.reason = `${failure.kind}: ${failure.cause}`
  if (outgoing.headersSent) return
  if (failure.kind === 'client-closed') {
    outgoing.destroy()
    return
  }
  sendRefusal(incoming, outgoing, REFUSAL_FOR[failure.kind])
}
