// Routes clients of the admin address to the live status, without names.
// Threat: a page in the browser of an operator reaches this address by DNS rebinding. Names need a key, which the page lacks.

import type { HttpBindings } from '@hono/node-server'
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response'
import type { Context, Hono } from 'hono'
import type { LiveStatus } from './live-status.ts'
import { JSON_HEADERS } from './status-headers.ts'
import { audienceOf } from './status-key.ts'
import type { Audience, StatusSource } from './status-source.ts'
import { watchStatus } from './watch-status.ts'

export interface AdminStatusOptions {
  readonly statusSource: StatusSource
  readonly liveStatus: Pick<LiveStatus, 'watch'>
  /** If undefined, nobody gets names on the admin address. */
  readonly statusKey: string | undefined
}

export interface AdminEnv {
  Bindings: HttpBindings
}

const PLACE = { events: '/events', links: ['/healthz', '/readyz', '/metrics', '/status.json'] } as const

export function addAdminStatus(
  app: Hono<AdminEnv>,
  { statusSource, liveStatus, statusKey }: AdminStatusOptions,
): void {
  type Answer = (audience: Audience) => Promise<Response> | Response
  const unlessRefused = (c: Context<AdminEnv>, answer: Answer) => {
    const request = { path: c.req.path, now: Date.now() }
    const audience = audienceOf(c.env.incoming.headers.authorization, statusKey, request)
    return audience === 'refused' ? c.text(WRONG_KEY, 401, CHALLENGE) : answer(audience)
  }
  app.get('/', (c) =>
    unlessRefused(c, async (audience) => {
      const { text, headers } = await statusSource.page(audience, PLACE)
      return c.body(text, 200, headers)
    }),
  )
  app.get('/status.json', (c) =>
    unlessRefused(c, async (audience) => c.body(await statusSource.json(audience), 200, JSON_HEADERS)),
  )
  app.get('/events', (c) =>
    unlessRefused(c, (audience) => {
      const { incoming, outgoing } = c.env
      watchStatus(incoming, liveStatus, { audience, user: undefined, outgoing, mayWatch: () => true })
      return RESPONSE_ALREADY_SENT
    }),
  )
}

const WRONG_KEY = 'This is not the key in the file status.key of the state folder.\n'
const CHALLENGE = { 'WWW-Authenticate': 'Bearer', 'Cache-Control': 'no-store' } as const
