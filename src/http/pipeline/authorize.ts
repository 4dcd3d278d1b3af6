// Admits only requests that the access rules allow their user.

import type { AccessRules } from '../../access/access-rules.ts'
import { authorize as verdictOn, rightsOf, type Denial } from '../../access/authorization.ts'
import { refusal } from '../refusals.ts'
import { refuse, type PipelineContext, type Step } from './step.ts'

/** Decides which target is forwarded. Comes after authentication; `rules` is asked at each request. */
export function authorize(rules: () => AccessRules | undefined): Step {
  return async function authorizeRequest(c, next) {
    const { incoming } = c.env
    const { facts } = c.var
    const { subject } = facts
    if (subject === undefined) throw new Error('a request without a subject reached its authorization')
    const { method = '', url: target = '' } = incoming
    const verdict = verdictOn(rightsOf(rules(), subject), { subject, method, target })
    if (verdict.kind === 'denied') return deny(c, verdict)
    facts.target = verdict.target
    await next()
    return undefined
  }
}

// Never 401: docker would delete the login that it has stored.
function deny(c: PipelineContext, { missing, message }: Denial): Response {
  c.var.facts.missing = missing
  return refuse(c, refusal('denied', message), missing === undefined ? message : 'no access rule allows it')
}
