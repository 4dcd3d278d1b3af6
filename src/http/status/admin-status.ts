// Routes clients of the admin address to the live status, without names.
// Threat: a page in the browser of an operator reaches this address by DNS rebinding. Names need a key, which the page lacks.

import type { Context, Hono } from 'hono'
import type { LiveStatus } from './live-status.ts'
import { JSON_HEADERS } from './status-headers.ts'
import { audienceOf } from './status-key.ts'
import type { Audience, StatusSource } from './status-source.ts'
import { watchStatus } from './watch-status.ts'
import {
  ANSWERED,
  type Answered,
  sendAnswer,
  TEXT_HEADERS,
  type Exchanged,
  type OwnAnswer,
} from '../answers.ts'

export interface AdminStatusOptions {
  readonly statusSource: StatusSource
  readonly liveStatus: Pick<LiveStatus, 'watch'>
  /** If undefined, nobody gets names on the admin address. */
  readonly statusKey: string | undefined
}

export interface AdminEnv {
  Bindings: Exchanged
}

const PLACE = { events: '/events', links: ['/healthz', '/readyz', '/metrics', '/status.json'] } as const

export function addAdminStatus(
  app: Hono<AdminEnv>,
  { statusSource, liveStatus, statusKey }: AdminStatusOptions,
): void {
  type Answer = (audience: Audience) => Promise<Answered> | Answered
  const unlessRefused = (c: Context<AdminEnv>, answer: Answer) => {
    const request = { path: c.req.path, now: Date.now() }
    const audience = audienceOf(c.env.incoming.headers.authorization, statusKey, request)
    return audience === 'refused' ? sendAnswer(c.env, WRONG_KEY) : answer(audience)
  }
  app.get('/', (c) =>
    unlessRefused(c, async (audience) => {
      const { text, headers } = await statusSource.page(audience, PLACE)
      return sendAnswer(c.env, { status: 200, headers, body: text })
    }),
  )
  app.get('/status.json', (c) =>
    unlessRefused(c, async (audience) => {
      const body = await statusSource.json(audience)
      return sendAnswer(c.env, { status: 200, headers: JSON_HEADERS, body })
    }),
  )
  app.get('/events', (c) =>
    unlessRefused(c, (audience) => {
      const { incoming, outgoing } = c.env
      watchStatus(incoming, liveStatus, { audience, user: undefined, outgoing, mayWatch: () => true })
      return ANSWERED
    }),
  )
}

const WRONG_KEY: OwnAnswer = {
  status: 401,
  headers: { ...TEXT_HEADERS, 'WWW-Authenticate': 'Bearer', 'Cache-Control': 'no-store' },
  body: 'This is not the key in the file status.key of the state folder.\n',
}
