// Routes users to the live status on the TLS listener.

import type { Hono } from 'hono'
import type { AccessRules } from '../../access/access-rules.ts'
import { denial, nameOf, type Denial } from '../../access/authorization.ts'
import { acceptsHtml } from '../accepts-html.ts'
import type { ConnectionTable } from '../connections/connection-table.ts'
import { hasExpired } from '../connections/certificate-verdict.ts'
import { isOutdated } from '../connections/client-ca-change.ts'
import type { Connection } from '../connections/connection.ts'
import { deny, recordDenial, rightsOfRequest } from '../pipeline/authorize.ts'
import { authenticate, type AuthenticateOptions } from '../pipeline/login/authenticate.ts'
import { refuse, type Env, type PipelineContext, type Step } from '../pipeline/step.ts'
import { usernameOf, type RequestFacts } from '../request-facts.ts'
import type { LiveStatus } from './live-status.ts'
import { JSON_HEADERS, STATUS_HEADERS } from './status-headers.ts'
import type { StatusSource } from './status-source.ts'
import { watchStatus } from './watch-status.ts'
import { ANSWERED, type Answered, sendAnswer } from '../answers.ts'

export interface StatusRoutesOptions extends AuthenticateOptions {
  readonly rules: () => AccessRules | undefined
  readonly statusSource: StatusSource
  readonly liveStatus: LiveStatus
  /** Returns a function that says whether the login and its right are still valid. */
  readonly stillValid: (facts: RequestFacts) => () => boolean
  /** Protects the connections of viewers from being closed for a new connection. */
  readonly connections: Pick<ConnectionTable<Connection>, 'begin' | 'end'>
}

const PAGE = '/-/status'
const EVENTS = '/-/status/events'
const JSON_DOCUMENT = '/-/status.json'
const PLACE = { events: EVENTS, links: ['/-/', JSON_DOCUMENT] } as const

export interface CertificateSteps {
  readonly beforeLogin: readonly Step[]
  readonly afterLogin: readonly Step[]
}

export function addStatus(
  app: Hono<Env>,
  { beforeLogin, afterLogin }: CertificateSteps,
  options: StatusRoutesOptions,
): void {
  const { challenges, statusSource } = options
  // The challenge is Basic, because browsers and curl do not fetch tokens.
  const basicOnly = { of: () => challenges.basic, basic: challenges.basic }
  const steps = [
    ...beforeLogin,
    authenticate({ ...options, challenges: basicOnly }),
    ...afterLogin,
    authorizeStatus(options),
  ]
  app.on(['GET'], [PAGE], ...steps, async (c) => {
    const { text, headers } = await statusSource.page('users', PLACE)
    return sendAnswer(c.env, { status: 200, headers, body: text })
  })
  app.on(['GET'], [JSON_DOCUMENT], ...steps, async (c) =>
    sendAnswer(c.env, { status: 200, headers: JSON_HEADERS, body: await statusSource.json('users') }),
  )
  app.on(['GET'], [EVENTS], ...steps, (c) => watch(c, options))
}

/** Runs after authentication. An anonymous client never sees the status, even if the rules allow it. */
function authorizeStatus({ rules, challenges }: StatusRoutesOptions): Step {
  return async function authorizeStatusRequest(c, next) {
    const { subject, machinePassword } = c.var.facts
    if (subject === undefined) throw new Error('a request without a subject reached its authorization')
    if (subject.kind === 'anonymous') return refuse(c, challenges.basic, 'no credentials')
    const rights = rightsOfRequest(rules(), { subject, machinePassword })
    if (rights !== 'everything' && !rights({ action: 'status' })) {
      const denied = denial(subject, { action: 'status' })
      const isForPerson = c.req.path === PAGE && acceptsHtml(c.env.incoming.headers)
      return isForPerson ? showDenial(c, denied, nameOf(subject)) : deny(c, denied)
    }
    await next()
    return undefined
  }
}

async function showDenial(c: PipelineContext, denied: Denial, username: string): Promise<Answered> {
  // Loaded on demand, because people open this page rarely.
  const { DENIED_PAGE_HEADERS, deniedPage } = await import('../pages/denied-page.ts')
  const { deniedBy } = recordDenial(c.var.facts, denied)
  c.env.outgoing.appendHeader('Vary', 'Accept')
  const page = await deniedPage({ username, deniedBy })
  const headers = { ...DENIED_PAGE_HEADERS, ...STATUS_HEADERS }
  return sendAnswer(c.env, { status: 403, headers, body: page })
}

function watch(c: PipelineContext, { liveStatus, stillValid, connections }: StatusRoutesOptions): Answered {
  const { incoming, outgoing } = c.env
  const { facts, answer } = c.var
  const { connection } = answer
  const isStillValid = stillValid(facts)
  const outcome = watchStatus(incoming, liveStatus, {
    audience: 'users',
    user: usernameOf(facts),
    outgoing,
    mayWatch: () => !isOutdated(connection) && !hasExpired(connection.certificate) && isStillValid(),
  })
  if (outcome === 'refused') facts.reason = 'too many viewers'
  if (outcome === 'watching') {
    connections.begin(connection)
    outgoing.once('close', () => {
      connections.end(connection)
    })
  }
  return ANSWERED
}
