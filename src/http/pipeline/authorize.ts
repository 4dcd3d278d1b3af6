// Admits only requests that the access rules allow their user.

import type { AccessRules, Subject } from '../../access/access-rules.ts'
import {
  authorize as verdictOn,
  inWords,
  rightsOf,
  type Denial,
  type Rights,
} from '../../access/authorization.ts'
import { restrict } from '../../access/restriction.ts'
import { refusal } from '../refusals.ts'
import type { Challenges } from './login/challenge.ts'
import type { RequestFacts } from '../request-facts.ts'
import { refuse, type PipelineContext, type Step } from './step.ts'
import type { Answered } from '../answers.ts'

export interface AuthorizeOptions {
  /** Called at each request, because rules change. */
  readonly rules: () => AccessRules | undefined
  readonly challenges: Challenges
}

/** Comes after authentication. */
export function authorize({ rules, challenges }: AuthorizeOptions): Step {
  return async function authorizeRequest(c, next) {
    const { incoming } = c.env
    const { facts } = c.var
    const { subject, machinePassword } = facts
    if (subject === undefined) throw new Error('a request without a subject reached its authorization')
    const { method = '', url: target = '' } = incoming
    const rights = rightsOfRequest(rules(), { subject, machinePassword })
    const verdict = verdictOn(rights, { subject, method, target })
    if (verdict.kind === 'denied')
      return subject.kind === 'anonymous' ? askForLogin(c, challenges, verdict) : deny(c, verdict)
    facts.target = verdict.target
    facts.change = verdict.change
    await next()
    return undefined
  }
}

export interface Requester extends Pick<RequestFacts, 'machinePassword'> {
  readonly subject: Subject
}

export function rightsOfRequest(
  rules: AccessRules | undefined,
  { subject, machinePassword }: Requester,
): Rights {
  const own = rightsOf(rules, subject)
  return machinePassword === undefined ? own : restrict(own, machinePassword.restriction)
}

// With an error, a client that asked for this scope does not repeat its token.
function askForLogin(c: PipelineContext, challenges: Challenges, { missing }: Denial): Answered {
  const { facts } = c.var
  if (!facts.hasToken) return refuse(c, challenges.of(c), 'no credentials')
  facts.missing = missing
  return refuse(c, challenges.of(c, 'insufficient_scope'), 'no access rule allows it')
}

// Never 401: docker would delete the login that it has stored.
export function deny(c: PipelineContext, denial: Denial): Answered {
  const { message, reason } = recordDenial(c.var.facts, denial)
  return refuse(c, refusal('denied', message), reason)
}

export interface ExplainedDenial {
  readonly deniedBy: 'rules' | 'machine password'
  /** For the client. */
  readonly message: string
  readonly reason: string
}

/** Records what the log says about a denied request. */
export function recordDenial(facts: RequestFacts, denial: Denial): ExplainedDenial {
  const explained = explain(facts, denial)
  facts.missing = denial.missing
  facts.reason = explained.reason
  return explained
}

function explain({ machinePassword }: RequestFacts, { missing, message }: Denial): ExplainedDenial {
  if (missing !== undefined && machinePassword?.restriction.allows(missing) === false) {
    const restricted = `this machine password may not ${inWords(missing)}`
    const reason = 'the machine password does not allow it'
    return { deniedBy: 'machine password', message: restricted, reason }
  }
  return { deniedBy: 'rules', message, reason: missing === undefined ? message : 'no access rule allows it' }
}
