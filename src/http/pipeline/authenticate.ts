// Admits requests with valid credentials and challenges all others.

import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response'
import { formatChallenge, parseBasic, type Credentials } from '../../auth/basic.ts'
import type { Pace, Turn } from '../../auth/pace.ts'
import type { Verdict } from '../../auth/verdict.ts'
import type { Verifier } from '../../auth/verifier.ts'
import type { Metrics } from '../../observability/metrics.ts'
import type { DrainGate } from './drain-gate.ts'
import { BUSY_REASON, DROPPED_REASON, THROTTLED_REASON, type LoginAudit } from './login-audit.ts'
import { pauseIdleTimer, refuse, type PipelineContext, type Step } from './step.ts'
import { refusal, unauthorized, type Refusal } from '../refusals.ts'

export interface AuthenticateOptions {
  readonly realm: string
  readonly verifier: Verifier
  readonly pace: Pace
  readonly audit: LoginAudit
  readonly metrics: Metrics
  readonly gate: DrainGate
  readonly hasUsers: () => boolean
}

export const NO_USERS = refusal('unavailable', 'no users are configured', { 'Retry-After': '10' })

interface RefusedVerdict {
  readonly answer: Refusal
  readonly reason: string
  readonly isKnown: boolean
}

export function authenticate(options: AuthenticateOptions): Step {
  const { realm, audit, metrics, hasUsers } = options
  const challenge = unauthorized(formatChallenge(realm))

  return async function authenticateRequest(c, next) {
    if (!hasUsers()) return refuse(c, NO_USERS, 'no users file')
    const { address, subject: certificateUser } = c.var.facts
    if (certificateUser !== undefined) {
      await next()
      return undefined
    }
    const basic = parseBasic(c.env.incoming.headers.authorization)
    // Docker's first request has no credentials, so this is no failed login.
    if (basic.kind === 'absent') return refuse(c, challenge, 'no credentials')
    if (basic.kind === 'malformed') {
      audit.refused({ address, reason: basic.reason, username: undefined })
      metrics.loginRefused('malformed')
      return refuse(c, challenge, basic.reason)
    }
    const verdict = await check(c, basic, options)
    if (verdict.kind === 'gone') return RESPONSE_ALREADY_SENT
    if (verdict.kind === 'dropped') return drop(c, options)
    if (verdict.kind !== 'ok') {
      const { answer, reason, isKnown } = refusalOf(verdict, challenge)
      audit.refused({ address, reason, username: isKnown ? basic.username : undefined })
      metrics.loginRefused(verdict.kind)
      return refuse(c, answer, reason)
    }
    c.var.facts.subject = { kind: 'user', username: verdict.username }
    c.var.facts.isOldPassword = verdict.isOldPassword
    c.var.facts.machinePassword = verdict.machinePassword
    await next()
    return undefined
  }
}

async function check(
  c: PipelineContext,
  credentials: Credentials,
  { verifier, pace, gate }: AuthenticateOptions,
): Promise<Verdict | Exclude<Turn, { readonly kind: 'check' }>> {
  const { outgoing } = c.env
  const { connection } = c.var.answer
  const paced = (connection.paced ??= pace.connection(connection.source))
  // A check may take longer than the idle timeout while many clients log in.
  const restoreIdleTimer = pauseIdleTimer(outgoing)
  // Waiting turns do not count for the drain gate, or a flood of logins could delay a stop.
  const turn = await paced.turn(credentials, (leave) => outgoing.once('close', leave))
  if (turn.kind !== 'check') {
    restoreIdleTimer()
    return turn
  }
  try {
    const verdict = await gate.checking(verifier.verify(credentials, paced.source))
    if (verdict.kind === 'ok') turn.succeeded()
    // A full queue says nothing about the password.
    else if (verdict.kind !== 'busy') turn.failed()
    return verdict
  } finally {
    restoreIdleTimer()
  }
}

// No answer: a client that learns nothing by waiting has no reason to open more connections.
function drop(c: PipelineContext, { audit, metrics }: AuthenticateOptions): Response {
  const { facts } = c.var
  facts.reason = DROPPED_REASON
  audit.refused({ address: facts.address, reason: DROPPED_REASON, username: undefined })
  metrics.loginRefused('dropped')
  c.env.incoming.socket.destroy()
  return RESPONSE_ALREADY_SENT
}

function refusalOf(verdict: Exclude<Verdict, { readonly kind: 'ok' }>, challenge: Refusal): RefusedVerdict {
  switch (verdict.kind) {
    case 'refused':
      return { answer: challenge, reason: verdict.reason, isKnown: verdict.isKnown }
    case 'throttled': {
      const seconds = Math.max(1, Math.ceil(verdict.retryAfterMs / 1000))
      const answer = refusal('tooMany', 'too many failed logins from this address; wait and try again', {
        'Retry-After': String(seconds),
      })
      return { answer, reason: THROTTLED_REASON, isKnown: false }
    }
    case 'busy': {
      const answer = refusal('unavailable', 'too many logins at once', { 'Retry-After': '5' })
      return { answer, reason: BUSY_REASON, isKnown: false }
    }
  }
}
