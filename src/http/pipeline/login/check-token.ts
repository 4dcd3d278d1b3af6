// Checks the bearer token of a request, and answers refused clients.

import { ANONYMOUS, type Subject } from '../../../access/access-rules.ts'
import type { TokenVerdict, TokenVerifier } from '../../../tokens/token-verifier.ts'
import type { Challenges } from './challenge.ts'
import { throttledRefusal, type LoginOptions } from './check-login.ts'
import { THROTTLED_REASON } from './login-audit.ts'
import { refuse, type PipelineContext } from '../step.ts'
import type { Answered } from '../../answers.ts'

export interface CheckTokenOptions extends Pick<LoginOptions, 'audit' | 'metrics'> {
  readonly tokenVerifier: TokenVerifier
  readonly challenges: Challenges
}

/** Called when the head of a request has arrived, so that a token may expire during a long upload. */
export async function checkToken(
  c: PipelineContext,
  token: string,
  options: CheckTokenOptions,
): Promise<Subject | Answered> {
  const { facts } = c.var
  facts.hasToken = true
  const verdict = await options.tokenVerifier.verify(token, facts.source)
  switch (verdict.kind) {
    case 'anonymous':
      return ANONYMOUS
    case 'user':
      options.metrics.loginAccepted('token')
      facts.isOldPassword = verdict.isOldPassword
      facts.machinePassword = verdict.machinePassword
      facts.tokenValidUntil = verdict.validUntil
      return { kind: 'user', username: verdict.username }
    case 'ended':
      return refuse(c, options.challenges.of(c, 'invalid_token'), verdict.reason)
    case 'wrong':
    case 'throttled':
      return refuseToken(c, verdict, options)
  }
}

function refuseToken(
  c: PipelineContext,
  verdict: Extract<TokenVerdict, { readonly kind: 'wrong' | 'throttled' }>,
  { challenges, audit, metrics }: CheckTokenOptions,
): Answered {
  const [reason, answer] =
    verdict.kind === 'wrong'
      ? [verdict.reason, challenges.of(c, 'invalid_token')]
      : [THROTTLED_REASON, throttledRefusal(verdict.retryAfterMs)]
  audit.refused({ address: c.var.facts.address, reason, username: undefined })
  metrics.loginRefused(verdict.kind === 'wrong' ? 'token' : 'throttled')
  return refuse(c, answer, reason)
}
