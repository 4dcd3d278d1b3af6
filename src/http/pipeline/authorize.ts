// Admits only requests that the access rules allow their user.

import type { AccessRules } from '../../access/access-rules.ts'
import { authorize as verdictOn, inWords, rightsOf, type Denial } from '../../access/authorization.ts'
import { restrict } from '../../access/restriction.ts'
import { refusal } from '../refusals.ts'
import { refuse, type PipelineContext, type Step } from './step.ts'

/** Decides which target is forwarded. Comes after authentication; `rules` is asked at each request. */
export function authorize(rules: () => AccessRules | undefined): Step {
  return async function authorizeRequest(c, next) {
    const { incoming } = c.env
    const { facts } = c.var
    const { subject, machinePassword } = facts
    if (subject === undefined) throw new Error('a request without a subject reached its authorization')
    const { method = '', url: target = '' } = incoming
    const own = rightsOf(rules(), subject)
    const rights = machinePassword === undefined ? own : restrict(own, machinePassword.restriction)
    const verdict = verdictOn(rights, { subject, method, target })
    if (verdict.kind === 'denied') return deny(c, verdict)
    facts.target = verdict.target
    facts.change = verdict.change
    await next()
    return undefined
  }
}

// Never 401: docker would delete the login that it has stored.
function deny(c: PipelineContext, { missing, message }: Denial): Response {
  const { facts } = c.var
  facts.missing = missing
  const restriction = facts.machinePassword?.restriction
  if (missing !== undefined && restriction?.allows(missing) === false) {
    const restricted = `this machine password may not ${inWords(missing)}`
    return refuse(c, refusal('denied', restricted), 'the machine password does not allow it')
  }
  return refuse(c, refusal('denied', message), missing === undefined ? message : 'no access rule allows it')
}
