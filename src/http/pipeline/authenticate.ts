// Authorization header → verdict → pass on, or answer the challenge.

import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response'
import type { Socket } from 'node:net'
import { formatChallenge, parseBasic, type Credentials } from '../../auth/basic.ts'
import type { Pace, PacedConnection, Turn } from '../../auth/pace.ts'
import type { Verdict, Verifier } from '../../auth/verifier.ts'
import type { Metrics } from '../../observability/metrics.ts'
import type { DrainGate } from './drain-gate.ts'
import { keepFromIdleTimer } from '../connections/idle-timer.ts'
import { BUSY_REASON, DROPPED_REASON, THROTTLED_REASON, type LoginAudit } from './login-audit.ts'
import { sourceOf } from '../client-address.ts'
import { refuse, type PipelineContext, type Step } from './step.ts'
import { refusal, unauthorized, type Refusal } from '../refusals.ts'

export interface AuthenticateOptions {
  readonly realm: string
  readonly verifier: Verifier
  readonly pace: Pace
  readonly audit: LoginAudit
  readonly metrics: Metrics
  readonly gate: DrainGate
  /** False until a users file has been read once: then there is nobody to compare with. */
  readonly hasUsers: () => boolean
}

/** Until there is a users file, nobody can be let in. */
export const NO_USERS = refusal('unavailable', 'no users are configured', { 'Retry-After': '10' })

/** A login that is not let in: what the client is told, and what the log is. */
interface NotLetIn {
  readonly answer: Refusal
  readonly reason: string
  readonly isKnown: boolean
}

/** Lets only verified users pass; nothing of a request reaches the registry before that. */
export function authenticate(options: AuthenticateOptions): Step {
  const { realm, audit, metrics, hasUsers } = options
  const challenge = unauthorized(formatChallenge(realm))

  return async function authenticateRequest(c, next) {
    if (!hasUsers()) return refuse(c, NO_USERS, 'no users file')
    const { address, username } = c.var.facts
    // A client certificate has said who this is.
    if (username !== undefined) {
      await next()
      return undefined
    }
    const basic = parseBasic(c.env.incoming.headers.authorization)
    // No refused login: docker always begins so, to learn the challenge.
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
      const { answer, reason, isKnown } = notLetIn(verdict, challenge)
      audit.refused({ address, reason, username: isKnown ? basic.username : undefined })
      metrics.loginRefused(verdict.kind)
      return refuse(c, answer, reason)
    }
    c.var.facts.username = verdict.username
    c.var.facts.isOldPassword = verdict.isOldPassword
    await next()
    return undefined
  }
}

async function check(
  c: PipelineContext,
  credentials: Credentials,
  { verifier, pace, gate }: AuthenticateOptions,
): Promise<Verdict | Exclude<Turn, { readonly kind: 'check' }>> {
  const { incoming, outgoing } = c.env
  const source = sourceOf(c.var.facts.address)
  const connection = pacedOf(incoming.socket, source, pace)
  // Where many log in at once, this may take longer than a connection may be idle.
  const letIdle = keepFromIdleTimer(outgoing)
  // A stop does not wait for turns, or a flood could hold it up.
  const turn = await connection.turn(credentials, (leave) => outgoing.once('close', leave))
  if (turn.kind !== 'check') {
    letIdle()
    return turn
  }
  const verdict = await gate.checking(verifier.verify(credentials, source))
  letIdle()
  if (verdict.kind === 'ok') turn.succeeded()
  else turn.failed()
  return verdict
}

const PACED = Symbol('paced')

type PacedSocket = Socket & { [PACED]?: PacedConnection }

function pacedOf(socket: PacedSocket, source: string, pace: Pace): PacedConnection {
  const known = socket[PACED]
  if (known?.source === source) return known
  return (socket[PACED] = pace.connection(source))
}

// Without an answer: a client that learns nothing from waiting has no reason to open more connections.
function drop(c: PipelineContext, { audit, metrics }: AuthenticateOptions): Response {
  const { facts } = c.var
  facts.reason = DROPPED_REASON
  audit.refused({ address: facts.address, reason: DROPPED_REASON, username: undefined })
  metrics.loginRefused('dropped')
  c.env.incoming.socket.destroy()
  return RESPONSE_ALREADY_SENT
}

function notLetIn(verdict: Exclude<Verdict, { readonly kind: 'ok' }>, challenge: Refusal): NotLetIn {
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
