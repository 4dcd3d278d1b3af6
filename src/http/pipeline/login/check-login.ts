// Checks a name and a password, and answers refused clients.

import type { Credentials } from '../../../auth/basic.ts'
import type { Pace, PacedConnection, Turn } from '../../../auth/pace.ts'
import type { Verdict } from '../../../auth/verdict.ts'
import type { Verifier } from '../../../auth/verifier.ts'
import type { Metrics } from '../../../observability/metrics.ts'
import type { DrainGate } from '../drain-gate.ts'
import { BUSY_REASON, DROPPED_REASON, THROTTLED_REASON, type LoginAudit } from './login-audit.ts'
import { pauseIdleTimer, refuse, type PipelineContext } from '../step.ts'
import { refusal, type Refusal } from '../../refusals.ts'
import { ANSWERED, type Answered } from '../../answers.ts'

const PROXIED_RETRY_MS = 10_000

export interface LoginOptions {
  readonly verifier: Verifier
  readonly pace: Pace
  readonly audit: LoginAudit
  readonly metrics: Metrics
  readonly gate: DrainGate
}

export interface SentLogin {
  readonly credentials: Credentials
  readonly challenge: () => Refusal
}

export type CheckedLogin =
  | Extract<Verdict, { readonly kind: 'ok' }>
  | { readonly kind: 'ended'; readonly response: Answered; readonly isWrong: boolean }

interface RefusedVerdict {
  readonly answer: Refusal
  readonly reason: string
  readonly isKnown: boolean
}

export async function checkLogin(
  c: PipelineContext,
  { credentials, challenge }: SentLogin,
  options: LoginOptions,
): Promise<CheckedLogin> {
  const verdict = await check(c, credentials, options)
  if (verdict.kind === 'ok') return verdict
  const ended = (response: Answered): CheckedLogin => ({
    kind: 'ended',
    response,
    isWrong: verdict.kind === 'refused',
  })
  if (verdict.kind === 'gone') return ended(ANSWERED)
  if (verdict.kind === 'dropped') return ended(drop(c, options))
  const { answer, reason, isKnown } = refusalOf(verdict, challenge)
  const username = isKnown ? credentials.username : undefined
  options.audit.refused({ address: c.var.facts.address, reason, username })
  options.metrics.loginRefused(verdict.kind)
  return ended(refuse(c, answer, reason))
}

/** A `reason` never repeats what the client sent. */
export function refuseMalformed(
  c: PipelineContext,
  { reason, challenge }: { readonly reason: string; readonly challenge: Refusal },
  { audit, metrics }: Pick<LoginOptions, 'audit' | 'metrics'>,
): Answered {
  audit.refused({ address: c.var.facts.address, reason, username: undefined })
  metrics.loginRefused('malformed')
  return refuse(c, challenge, reason)
}

async function check(
  c: PipelineContext,
  credentials: Credentials,
  { verifier, pace, gate }: LoginOptions,
): Promise<Verdict | Exclude<Turn, { readonly kind: 'check' }>> {
  const { outgoing } = c.env
  const paced = pacedFor(c, pace)
  // A check may take longer than the idle timeout.
  const restoreIdleTimer = pauseIdleTimer(outgoing)
  // Waiting turns do not count for the drain gate, or a flood of logins could delay a stop.
  const turn = await paced.turn(credentials, (leave) => outgoing.once('close', leave))
  if (turn.kind !== 'check') {
    restoreIdleTimer()
    return turn
  }
  try {
    const verdict = await gate.counting(verifier.verify(credentials, paced.source))
    if (verdict.kind === 'ok') turn.succeeded()
    // A full queue says nothing about the password.
    else if (verdict.kind !== 'busy') turn.failed()
    return verdict
  } finally {
    restoreIdleTimer()
  }
}

// A connection of a proxy carries the logins of several sources.
function pacedFor({ var: { answer, facts } }: PipelineContext, pace: Pace): PacedConnection {
  const { connection } = answer
  if (connection.paced?.source !== facts.source) connection.paced = pace.connection(facts.source)
  return connection.paced
}

// No answer: a client that learns nothing by waiting has no reason to open more connections.
function drop(c: PipelineContext, { audit, metrics }: LoginOptions): Answered {
  const { facts, answer } = c.var
  facts.reason = DROPPED_REASON
  audit.refused({ address: facts.address, reason: DROPPED_REASON, username: undefined })
  metrics.loginRefused('dropped')
  // Threat: a proxy takes a closed connection for a fault of the sidecar, and stops to send requests of other clients.
  if (answer.connection.isProxy) return refuse(c, throttledRefusal(PROXIED_RETRY_MS), DROPPED_REASON)
  c.env.incoming.socket.destroy()
  return ANSWERED
}

function refusalOf(
  verdict: Exclude<Verdict, { readonly kind: 'ok' }>,
  challenge: () => Refusal,
): RefusedVerdict {
  switch (verdict.kind) {
    case 'refused':
      return { answer: challenge(), reason: verdict.reason, isKnown: verdict.isKnown }
    case 'throttled':
      return { answer: throttledRefusal(verdict.retryAfterMs), reason: THROTTLED_REASON, isKnown: false }
    case 'busy': {
      const answer = refusal('unavailable', 'too many logins at once', { 'Retry-After': '5' })
      return { answer, reason: BUSY_REASON, isKnown: false }
    }
  }
}

export function throttledRefusal(retryAfterMs: number): Refusal {
  return refusal('tooMany', 'too many failed logins from this address; wait and try again', {
    'Retry-After': String(Math.max(1, Math.ceil(retryAfterMs / 1000))),
  })
}
