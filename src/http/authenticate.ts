// Authorization header → verdict → pass on, or answer the challenge.

import { formatChallenge, parseBasic } from '../auth/basic.ts'
import type { Verifier } from '../auth/verifier.ts'
import { refuse, type Step } from './pipeline.ts'
import { refusal, unauthorized } from './registry-error.ts'

export interface AuthenticateOptions {
  readonly realm: string
  readonly verifier: Verifier
  /** False until a users file has been read once: then there is nobody to compare with. */
  readonly hasUsers: () => boolean
}

/** Lets only verified users pass; nothing of a request reaches the registry before that. */
export function authenticate({ realm, verifier, hasUsers }: AuthenticateOptions): Step {
  const challenge = unauthorized(formatChallenge(realm))

  return async function authenticateRequest(c, next) {
    if (!hasUsers()) {
      return refuse(
        c,
        refusal('unavailable', 'no users are configured', { 'Retry-After': '10' }),
        'no users file',
      )
    }
    const basic = parseBasic(c.env.incoming.headers.authorization)
    if (basic.kind === 'absent') return refuse(c, challenge, 'no credentials')
    if (basic.kind === 'malformed') return refuse(c, challenge, basic.reason)
    const verdict = await verifier.verify(basic)
    if (verdict.kind === 'busy') {
      return refuse(
        c,
        refusal('unavailable', 'too many logins at once', { 'Retry-After': '5' }),
        'logins queue full',
      )
    }
    if (verdict.kind === 'refused') return refuse(c, challenge, verdict.reason)
    c.var.facts.username = verdict.username
    await next()
    return undefined
  }
}
