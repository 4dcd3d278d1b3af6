// Hands Node's request and response to the upstream; the last step.

import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response'
import type { Handler } from 'hono'
import type { Metrics } from '../metrics.ts'
import { FAILURE_STATUS, type UpstreamFailure } from '../upstream/failure.ts'
import type { Upstream } from '../upstream/upstream.ts'
import { sendRefusal, refusal } from './registry-error.ts'
import type { Env, PipelineContext } from './pipeline.ts'

export function forward(upstream: Upstream, metrics: Metrics): Handler<Env> {
  return function forwardRequest(c) {
    const { incoming, outgoing } = c.env
    const { username, address } = c.var.facts
    // The pipeline's order promises a username; this line is for the day when someone changes the order.
    if (username === undefined) throw new Error('a request reached the upstream without a verified user')
    // The client may have left while its password was checked.
    if (outgoing.destroyed) return RESPONSE_ALREADY_SENT
    // HTTP/1.0 knows no interim answers (RFC 9110 §10.1.1).
    if (incoming.headers.expect !== undefined && incoming.httpVersionMinor > 0) outgoing.writeContinue()
    // From here on the upstream's watchdog decides what is idle: it also knows when we wait for the registry.
    outgoing.on('timeout', () => undefined)
    const onFailure = (failure: UpstreamFailure) => {
      metrics.upstreamFailed(failure.kind)
      answerFailure(c, failure)
    }
    upstream.forward(incoming, outgoing, { username, address, onFailure })
    return RESPONSE_ALREADY_SENT
  }
}

function answerFailure(c: PipelineContext, failure: UpstreamFailure): void {
  const { incoming, outgoing } = c.env
  c.var.facts.reason = `${failure.kind}: ${failure.cause}`
  if (outgoing.headersSent) return
  if (failure.kind === 'client-closed') {
    outgoing.destroy()
    return
  }
  const isLate = FAILURE_STATUS[failure.kind] === 504
  sendRefusal(
    incoming,
    outgoing,
    isLate
      ? refusal('timedOut', 'the registry did not answer in time')
      : refusal('badGateway', 'the registry cannot be reached'),
  )
}
