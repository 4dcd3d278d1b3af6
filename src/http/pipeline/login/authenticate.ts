// Finds out who sends a request, and challenges clients with wrong credentials.

import { ANONYMOUS, type Subject } from '../../../access/access-rules.ts'
import { parseAuthorization } from '../../../auth/authorization-header.ts'
import { checkLogin, refuseMalformed, type LoginOptions } from './check-login.ts'
import { checkToken, type CheckTokenOptions } from './check-token.ts'
import { refuse, type PipelineContext, type Step } from '../step.ts'
import { refusal } from '../../refusals.ts'
import type { Answered } from '../../answers.ts'

export interface AuthenticateOptions extends LoginOptions, CheckTokenOptions {
  readonly namesAnonymous: () => boolean
  readonly hasUsers: () => boolean
}

export const NO_USERS = refusal('unavailable', 'no users are configured', { 'Retry-After': '10' })

export function authenticate(options: AuthenticateOptions): Step {
  const { challenges, namesAnonymous, hasUsers } = options

  return async function authenticateRequest(c, next) {
    if (!hasUsers()) return refuse(c, NO_USERS, 'no users file')
    const { facts } = c.var
    if (facts.subject === undefined) {
      const found = await subjectOf(c)
      if (found.kind === 'answered') return found
      facts.subject = found
    }
    await next()
    return undefined
  }

  async function subjectOf(c: PipelineContext): Promise<Subject | Answered> {
    const sent = parseAuthorization(c.env.incoming.headers.authorization)
    switch (sent.kind) {
      case 'absent':
        // Docker's first request has no credentials, so this is no failed login.
        return namesAnonymous() ? ANONYMOUS : refuse(c, challenges.of(c), 'no credentials')
      case 'malformed':
        return refuseMalformed(c, { reason: sent.reason, challenge: challenges.of(c) }, options)
      case 'token':
        return checkToken(c, sent.token, options)
      case 'credentials': {
        const challenge = () => challenges.of(c)
        const login = await checkLogin(c, { credentials: sent, challenge }, options)
        if (login.kind === 'ended') return login.response
        c.var.facts.isOldPassword = login.isOldPassword
        c.var.facts.machinePassword = login.machinePassword
        return { kind: 'user', username: login.username }
      }
    }
  }
}
