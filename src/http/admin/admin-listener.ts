// Serves health checks, metrics and a status page over plain HTTP.
// Threat: this address needs no login, so no answer may contain a secret.

import { Hono } from 'hono'
import { createServer, type RequestListener, type Server } from 'node:http'
import type { Socket } from 'node:net'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { shareInFlight } from '../../async/in-flight.ts'
import type { PartStatus } from '../../observability/status-snapshot.ts'
import { bind, type BoundAddress } from '../bind.ts'
import { ANSWERED, sendAnswer, TEXT_HEADERS, type Exchanged, type OwnAnswer } from '../answers.ts'
import { clientAddressOf } from '../client-address.ts'
import { createRequestListener } from '../request-listener.ts'
import type { AdminPagesOptions } from './admin-pages.ts'

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

export interface AdminOptions extends AdminPagesOptions {
  readonly host: string | undefined
  readonly port: number
  /** What to do if the port is in use. */
  readonly whenTaken?: string | undefined
  readonly readiness: () => Promise<Readiness>
}

const READINESS_HEADERS = { 'Content-Type': 'application/json', 'Cache-Control': 'no-store' }
const FAILED: OwnAnswer = { status: 500, headers: TEXT_HEADERS, body: 'Internal Server Error\n' }

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
  const app = new Hono<{ Bindings: Exchanged }>()
  app.get('/healthz', (c) => sendAnswer(c.env, { status: 200, headers: TEXT_HEADERS, body: 'ok\n' }))
  app.get('/readyz', async (c) => {
    const state = await ready()
    const body = JSON.stringify(state)
    return sendAnswer(c.env, { status: state.ready ? 200 : 503, headers: READINESS_HEADERS, body })
  })
  let pages: RequestListener | undefined
  app.notFound(async (c) => {
    // Loaded on demand, because it takes 8 MiB, and many sidecars get only health checks here.
    const { createAdminPages } = await import('./admin-pages.ts')
    pages ??= createAdminPages({
      ...status,
      metrics: { contentType: metrics.contentType, text: metricsText },
    })
    pages(c.env.incoming, c.env.outgoing)
    return ANSWERED
  })
  app.onError((_error, c) => sendAnswer(c.env, FAILED))
  const server = createServer(createRequestListener(app))
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
