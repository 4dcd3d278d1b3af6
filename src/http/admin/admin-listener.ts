// Serves health checks, metrics and a status page over plain HTTP.
// Threat: this address needs no login, so no answer may contain a secret.

import { getRequestListener } from '@hono/node-server'
import { Hono } from 'hono'
import { createServer, type Server } from 'node:http'
import type { Socket } from 'node:net'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { shareInFlight } from '../../async/in-flight.ts'
import type { Metrics } from '../../observability/metrics.ts'
import type { PartStatus } from '../../observability/status-snapshot.ts'
import { bind, type BoundAddress } from '../bind.ts'
import { clientAddressOf } from '../client-address.ts'
import { addAdminStatus, type AdminEnv, type AdminStatusOptions } from '../status/admin-status.ts'

export interface Readiness {
  readonly ready: boolean
  readonly parts: Readonly<
    Record<'users' | 'certificate' | 'freeze' | 'upstream' | 'draining', PartStatus>
  > & {
    readonly clientCa?: PartStatus
  }
}

export interface AdminListener {
  readonly address: BoundAddress
  close(): Promise<void>
}

export interface AdminOptions extends AdminStatusOptions {
  readonly host: string | undefined
  readonly port: number
  /** What to do if the port is in use. */
  readonly whenTaken?: string | undefined
  readonly readiness: () => Promise<Readiness>
  readonly metrics: Pick<Metrics, 'contentType' | 'text'>
}

// Threat: a flood blocks the health check, and the container is restarted. So loopback has a separate limit.
const MAX_CONNECTIONS = 64

export async function createAdminListener({
  readiness,
  metrics,
  host,
  port,
  whenTaken,
  ...status
}: AdminOptions): Promise<AdminListener> {
  // Threat: anyone can send many requests at once. So requests that arrive together share one result.
  const shareReadiness = shareInFlight<Readiness>()
  const ready = () => shareReadiness(readiness)
  const shareText = shareInFlight<string>()
  const metricsText = () =>
    shareText(async () => {
      // Collecting metrics blocks the event loop. This wait lets requests that arrived together share one result.
      await nextTurn()
      return metrics.text()
    })
  const app = new Hono<AdminEnv>()
  addAdminStatus(app, status)
  app.get('/healthz', (c) => c.text('ok\n'))
  app.get('/readyz', async (c) => {
    const state = await ready()
    return c.json(state, state.ready ? 200 : 503, { 'Cache-Control': 'no-store' })
  })
  app.get('/metrics', async (c) => c.body(await metricsText(), 200, { 'Content-Type': metrics.contentType }))
  app.notFound((c) =>
    c.text('This address serves /, /status.json, /events, /healthz, /readyz and /metrics.\n', 404),
  )
  // A health check of HAProxy uses HTTP/1.0 without a Host header, so `hostname` is needed.
  const handler = getRequestListener(app.fetch, { overrideGlobalObjects: false, hostname: 'localhost' })
  const server = createServer((incoming, outgoing) => void handler(incoming, outgoing))
  limitConnections(server)
  const address = await bind(server, { host, port, whenTaken, setting: 'SIDECAR_ADMIN_LISTEN' })
  // Without a listener for 'error', a connection that cannot be accepted would end the process.
  server.on('error', () => undefined)
  return {
    address,
    close: () =>
      new Promise((resolve) => {
        server.close(() => {
          resolve()
        })
        server.closeAllConnections()
      }),
  }
}

function limitConnections(server: Server): void {
  const [local, remote] = [new Set<Socket>(), new Set<Socket>()]
  const answering = new WeakSet<Socket>()
  server.on('connection', (socket) => {
    const open = isLoopback(clientAddressOf(socket)) ? local : remote
    if (open.size >= MAX_CONNECTIONS) closeOne(open, answering)
    open.add(socket)
    socket.once('close', () => open.delete(socket))
  })
  server.on('request', ({ socket }, outgoing) => {
    answering.add(socket)
    outgoing.once('close', () => answering.delete(socket))
  })
}

// Closes a connection without a request first, because an attacker opens such connections at no cost.
function closeOne(open: Set<Socket>, answering: WeakSet<Socket>): void {
  const [oldest] = open
  const closed = [...open].find((socket) => !answering.has(socket)) ?? oldest
  if (closed === undefined) return
  // Removed now, because other connections may arrive before 'close'.
  open.delete(closed)
  closed.destroy()
}

function isLoopback(address = ''): boolean {
  return address === '::1' || address.startsWith('127.')
}
