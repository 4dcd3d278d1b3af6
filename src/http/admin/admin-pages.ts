// Serves the status page and the metrics of the admin address.

import { getRequestListener } from '@hono/node-server'
import { Hono } from 'hono'
import type { RequestListener } from 'node:http'
import type { Metrics } from '../../observability/metrics.ts'
import { addAdminStatus, type AdminEnv, type AdminStatusOptions } from '../status/admin-status.ts'

export interface AdminPagesOptions extends AdminStatusOptions {
  readonly metrics: Pick<Metrics, 'contentType' | 'text'>
}

const NOT_FOUND = 'This address serves /, /status.json, /events, /healthz, /readyz and /metrics.\n'

export function createAdminPages({ metrics, ...status }: AdminPagesOptions): RequestListener {
  const app = new Hono<AdminEnv>()
  addAdminStatus(app, status)
  app.get('/metrics', async (c) => c.body(await metrics.text(), 200, { 'Content-Type': metrics.contentType }))
  app.notFound((c) => c.text(NOT_FOUND, 404))
  // A health check of HAProxy uses HTTP/1.0 without a Host header, so `hostname` is needed.
  const listener = getRequestListener(app.fetch, { overrideGlobalObjects: false, hostname: 'localhost' })
  return (incoming, outgoing) => void listener(incoming, outgoing)
}
