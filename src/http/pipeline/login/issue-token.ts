// Answers requests for a token at /token.

import type { AccessRules } from '../../../access/access-rules.ts'
import { REPOSITORY_ACTIONS } from '../../../access/actions.ts'
import type { Credentials } from '../../../auth/basic.ts'
import type { RepeatedFailures } from '../../../auth/repeated-failures.ts'
import type { AskedScope } from '../../../tokens/scope-parameter.ts'
import type { SignedTokens, TokenHolder } from '../../../tokens/signed-tokens.ts'
import { formatTokenAnswer } from '../../../tokens/token-answer.ts'
import { readTokenRequest, type TokenRequest } from '../../../tokens/token-request.ts'
import { rightsOfRequest } from '../authorize.ts'
import { NO_USERS, type AuthenticateOptions } from './authenticate.ts'
import { checkLogin, refuseMalformed } from './check-login.ts'
import { readForm } from './form-body.ts'
import { refuse, type PipelineContext, type Step } from '../step.ts'
import { refusal } from '../../refusals.ts'
import { ANSWERED, type Answered, sendAnswer } from '../../answers.ts'

export interface IssueTokenOptions extends AuthenticateOptions {
  readonly tokens: SignedTokens
  readonly repeatedFailures: RepeatedFailures
  readonly rules: () => AccessRules | undefined
}

export function issueToken(options: IssueTokenOptions): Step {
  const { tokens, rules, challenges, hasUsers, namesAnonymous } = options

  return async function issueTokenToClient(c) {
    if (!hasUsers()) return refuse(c, NO_USERS, 'no users file')
    const request = await readRequest(c)
    if (request.kind === 'answered') return request
    switch (request.kind) {
      case 'unsupported':
        return refuse(c, refusal('badRequest', request.reason), request.reason)
      case 'malformed credentials':
        return refuseMalformed(c, { reason: request.reason, challenge: challenges.basic }, options)
      case 'no credentials':
        return namesAnonymous()
          ? answer(c, { kind: 'anonymous' }, request.scopes)
          : refuse(c, challenges.basic, 'no credentials')
      case 'credentials': {
        const login = await logIn(c, request.credentials)
        return login.kind === 'answered' ? login : answer(c, login, request.scopes)
      }
    }
  }

  async function logIn(c: PipelineContext, credentials: Credentials): Promise<TokenHolder | Answered> {
    const { repeatedFailures } = options
    const { source } = c.var.facts
    if (repeatedFailures.isSecond(credentials, source))
      return refuse(c, challenges.basic, 'the same wrong password again')
    const login = await checkLogin(c, { credentials, challenge: () => challenges.basic }, options)
    if (login.kind === 'ended') {
      if (login.isWrong) repeatedFailures.refused(credentials, source)
      return login.response
    }
    const { username, hash, machinePassword } = login
    c.var.facts.isOldPassword = login.isOldPassword
    c.var.facts.machinePassword = machinePassword
    const fingerprint = tokens.fingerprintOf(username, hash)
    return { kind: 'user', username, fingerprint, machinePassword: machinePassword?.id }
  }

  async function answer(
    c: PipelineContext,
    holder: TokenHolder,
    scopes: readonly AskedScope[],
  ): Promise<Answered> {
    const { facts } = c.var
    facts.subject = holder
    const rights = rightsOfRequest(rules(), { ...facts, subject: holder })
    const granted = scopes.map(({ repository, actions }) => ({
      repository,
      actions: REPOSITORY_ACTIONS.filter(
        (action) =>
          (actions.includes(action) || actions.includes('*')) &&
          (rights === 'everything' || rights({ action, repository })),
      ),
    }))
    const body = formatTokenAnswer({ token: await tokens.issue(holder), granted })
    return sendAnswer(c.env, { status: 200, headers: HEADERS, body })
  }
}

// RFC 6749 §5.1.
const HEADERS = {
  'Content-Type': 'application/json',
  'Cache-Control': 'no-store',
  'X-Content-Type-Options': 'nosniff',
} as const

async function readRequest(c: PipelineContext): Promise<TokenRequest | Answered> {
  const { incoming, outgoing } = c.env
  const { authorization, expect } = incoming.headers
  const query = (incoming.url ?? '').split('?').slice(1).join('?')
  if (incoming.method !== 'POST') return readTokenRequest({ authorization, query, form: undefined })
  if (expect !== undefined && incoming.httpVersionMinor > 0) outgoing.writeContinue()
  const form = await readForm(incoming)
  if (form.kind === 'gone') return ANSWERED
  if (form.kind === 'refused') return refuse(c, form.answer, form.answer.message)
  return readTokenRequest({ authorization, query, form: form.text })
}
