// Gives each request an id; hands it to the access log and the metrics when its response closes.

import { randomBytes } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Metrics } from '../../observability/metrics.ts'
import type { AccessLog } from './access-log.ts'
import { addressOf } from '../client-address.ts'
import { METHODS } from './admit.ts'
import type { RequestFacts, Step } from './step.ts'

// Longer paths are no repository's; the log stays readable.
const MAX_LOGGED_PATH = 512

// What was on this connection when its last request ended, so that each request is charged its own bytes.
const CHARGED = Symbol('charged')

type ChargedSocket = Pick<Socket, 'bytesRead' | 'bytesWritten'> & {
  [CHARGED]?: { received: number; sent: number }
}

/** Gives the request an id; tells the access log of it, and counts it, when it is over. */
export function observe(accessLog: AccessLog, metrics: Metrics): Step {
  const nextId = createIds()
  return async function observeRequest(c, next) {
    const { incoming, outgoing } = c.env
    const facts = {
      id: nextId(),
      address: addressOf(incoming),
      username: undefined,
      isOldPassword: false,
      clientCertificate: undefined,
      certificateProblem: undefined,
      reason: undefined,
    }
    c.set('facts', facts)
    const startedAt = performance.now()
    outgoing.once('close', () => {
      tell({ accessLog, metrics }, { incoming, outgoing, facts, ms: performance.now() - startedAt })
    })
    await next()
  }
}

// Ids need to be different, also from those before a restart; nobody gains from guessing one. A random one each would
// cost more than the whole line.
function createIds(): () => string {
  const prefix = randomBytes(5).toString('hex')
  let count = 0
  return () => `${prefix}-${(++count).toString(36)}`
}

interface Closed {
  readonly incoming: IncomingMessage
  readonly outgoing: ServerResponse
  readonly facts: RequestFacts
  readonly ms: number
}

interface Told {
  readonly accessLog: AccessLog
  readonly metrics: Metrics
}

function tell({ accessLog, metrics }: Told, { incoming, outgoing, facts, ms }: Closed): void {
  const bytes = chargeBytes(incoming.socket)
  // 499: the client left, or the connection was destroyed, before any status was sent.
  const status = outgoing.headersSent ? outgoing.statusCode : 499
  const method = incoming.method ?? ''
  metrics.requestFinished({
    method: METHODS.has(method) ? method : 'other',
    status,
    seconds: ms / 1000,
    receivedBytes: bytes.received,
    sentBytes: bytes.sent,
  })
  accessLog.request({
    id: facts.id,
    user: facts.username,
    method,
    path: pathOf(incoming.url ?? ''),
    status,
    in: bytes.received,
    out: bytes.sent,
    ms: Math.round(ms * 10) / 10,
    address: facts.address,
    // What is undefined is not written.
    clientCertificate: facts.clientCertificate,
    certificateProblem: facts.certificateProblem,
    oldPassword: facts.isOldPassword || undefined,
    cut: !outgoing.writableFinished || undefined,
    reason: facts.reason,
  })
}

// Heads included: what this request moved inside the TLS connection.
function chargeBytes(socket: ChargedSocket): { received: number; sent: number } {
  const before = socket[CHARGED] ?? { received: 0, sent: 0 }
  const now = { received: socket.bytesRead, sent: socket.bytesWritten }
  socket[CHARGED] = now
  return { received: now.received - before.received, sent: now.sent - before.sent }
}

// Queries carry upload state and, from careless clients, secrets.
function pathOf(url: string): string {
  return (url.split('?', 1)[0] ?? '').slice(0, MAX_LOGGED_PATH)
}
