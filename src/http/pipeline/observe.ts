// Gives each request an id, and reports it to log and metrics.

import { randomBytes } from 'node:crypto'
import type { Metrics } from '../../observability/metrics.ts'
import { connectionOf, type Answer, type Bytes, type Connection } from '../connections/connection.ts'
import type { RequestFacts } from '../request-facts.ts'
import type { AccessLog } from './access-log.ts'
import { METHODS } from './admit.ts'
import type { Step } from './step.ts'

// Repository paths are shorter; the limit keeps the log readable.
const MAX_LOGGED_PATH = 512

/** Begins the facts of a request. */
export function observe(): Step {
  const nextId = createIds()
  return async function observeRequest(c, next) {
    const { incoming, outgoing } = c.env
    const answer = connectionOf(incoming.socket).answers.get(outgoing)
    if (answer === undefined) throw new Error('a request reached the pipeline without a record')
    const facts: RequestFacts = {
      id: nextId(),
      address: answer.connection.address,
      startedAt: performance.now(),
      username: undefined,
      isOldPassword: false,
      clientCertificate: undefined,
      certificateProblem: undefined,
      reason: undefined,
    }
    answer.facts = facts
    c.set('answer', answer)
    c.set('facts', facts)
    await next()
  }
}

// Ids must be unique, even across restarts, but may be guessable. A random one per request would cost more than the rest
// of the log line.
function createIds(): () => string {
  const prefix = randomBytes(5).toString('hex')
  let count = 0
  return () => `${prefix}-${(++count).toString(36)}`
}

export interface ReporterOptions {
  readonly accessLog: AccessLog
  readonly metrics: Metrics
}

/** Returns what reports an answer that has closed. A request that never reached the pipeline is not reported. */
export function createReporter({ accessLog, metrics }: ReporterOptions): (answer: Answer) => void {
  return ({ connection, outgoing, facts }) => {
    if (facts === undefined) return
    const incoming = outgoing.req
    const ms = performance.now() - facts.startedAt
    const bytes = chargeBytes(connection)
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
    // The log leaves out fields that are undefined.
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
      clientCertificate: facts.clientCertificate,
      certificateProblem: facts.certificateProblem,
      oldPassword: facts.isOldPassword || undefined,
      cut: !outgoing.writableFinished || undefined,
      reason: facts.reason,
    })
  }
}

// Charges each request what it moved inside the TLS connection, heads included.
function chargeBytes(connection: Connection): Bytes {
  const { charged, tls } = connection
  const now = { received: tls?.bytesRead ?? 0, sent: tls?.bytesWritten ?? 0 }
  connection.charged = now
  return { received: now.received - charged.received, sent: now.sent - charged.sent }
}

// Queries carry upload state and, from careless clients, secrets.
function pathOf(url: string): string {
  return (url.split('?', 1)[0] ?? '').slice(0, MAX_LOGGED_PATH)
}
