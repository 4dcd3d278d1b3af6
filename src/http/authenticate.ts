// Authorization header → verdict → pass on, or answer the challenge.

import { formatChallenge, parseBasic } from '../auth/basic.ts'
import type { Verdict, Verifier } from '../auth/verifier.ts'
import type { Metrics } from '../metrics.ts'
import type { DrainGate } from './drain-gate.ts'
import { createHoldBack } from './hold-back.ts'
import { keepFromIdleTimer } from './idle.ts'
import { BUSY_REASON, THROTTLED_REASON, type LoginAudit } from './login-audit.ts'
import { refuse, type Step } from './pipeline.ts'
import { refusal, unauthorized, type Refusal } from './registry-error.ts'

export interface AuthenticateOptions {
  readonly realm: string
  readonly verifier: Verifier
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
export function authenticate({ realm, verifier, audit, metrics, gate, hasUsers }: AuthenticateOptions): Step {
  const challenge = unauthorized(formatChallenge(realm))
  const holdBack = createHoldBack()

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
    // Where many log in at once, the check may take longer than a connection may be idle.
    const letIdle = keepFromIdleTimer(c.env.outgoing)
    const verdict = await gate.checking(verifier.verify(basic, address))
    letIdle()
    if (verdict.kind !== 'ok') {
      const { answer, reason, isKnown } = notLetIn(verdict, challenge)
      audit.refused({ address, reason, username: isKnown ? basic.username : undefined })
      metrics.loginRefused(verdict.kind)
      if (verdict.kind === 'throttled') await holdBack.wait()
      return refuse(c, answer, reason)
    }
    c.var.facts.username = verdict.username
    c.var.facts.isOldPassword = verdict.isOldPassword
    await next()
    return undefined
  }
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
