// What the sidecar itself answers under /v2/: the registry's error envelope, its codes, and the one writer of it.

import type { IncomingMessage, ServerResponse } from 'node:http'
import { endWhenRead, isStillSending } from '../upstream/drain-request-body.ts'

/** Error codes of the distribution specification and of registry:2 that we use, with their statuses. */
export const REFUSALS = {
  badRequest: { status: 400, code: 'UNSUPPORTED' },
  unauthorized: { status: 401, code: 'UNAUTHORIZED' },
  denied: { status: 403, code: 'DENIED' },
  notFound: { status: 404, code: 'UNSUPPORTED' },
  badMethod: { status: 405, code: 'UNSUPPORTED' },
  tooSlow: { status: 408, code: 'UNSUPPORTED' },
  targetTooLong: { status: 414, code: 'UNSUPPORTED' },
  badExpectation: { status: 417, code: 'UNSUPPORTED' },
  tooMany: { status: 429, code: 'TOOMANYREQUESTS' },
  headTooLarge: { status: 431, code: 'UNSUPPORTED' },
  bug: { status: 500, code: 'UNKNOWN' },
  badGateway: { status: 502, code: 'UNAVAILABLE' },
  unavailable: { status: 503, code: 'UNAVAILABLE' },
  timedOut: { status: 504, code: 'UNAVAILABLE' },
  badVersion: { status: 505, code: 'UNSUPPORTED' },
} as const satisfies Record<string, { status: number; code: string }>

export interface Refusal {
  readonly status: number
  readonly code: string
  readonly message: string
  readonly headers: Readonly<Record<string, string>>
  /** The connection ends with this answer. */
  readonly closes?: boolean
}

/** A refusal as a value: its status and code by kind, a sentence for the person who reads it. */
export function refusal(
  kind: keyof typeof REFUSALS,
  message: string,
  headers: Readonly<Record<string, string>> = {},
): Refusal {
  return { ...REFUSALS[kind], message, headers }
}

/**
 * The challenge every client understands: one `WWW-Authenticate` line, the same bytes whatever the reason. A client
 * that could tell "no such user" from "wrong password" could list the users.
 */
export function unauthorized(challenge: string): Refusal {
  return refusal('unauthorized', 'authentication required', { 'WWW-Authenticate': challenge })
}

/** Answers with a refusal. An upload that is still coming gets its answer, is read a little longer, then cut. */
export function sendRefusal(incoming: IncomingMessage, outgoing: ServerResponse, answer: Refusal): void {
  if (outgoing.headersSent || outgoing.destroyed) {
    outgoing.destroy()
    return
  }
  const body = bodyOf(answer)
  if (answer.closes === true || isStillSending(incoming)) outgoing.shouldKeepAlive = false
  outgoing.writeHead(answer.status, { ...commonHeaders(body), ...answer.headers })
  outgoing.write(body)
  endWhenRead(incoming, outgoing)
}

/** The same as bytes, for a connection whose request could not even be parsed. */
export function formatRefusal(answer: Refusal): string {
  const body = bodyOf(answer)
  const headers = { ...commonHeaders(body), ...answer.headers, Connection: 'close' }
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  return `HTTP/1.1 ${answer.status} Refused\r\n${lines.join('')}\r\n${body}`
}

/** The envelope (OCI distribution specification, "Error codes"). */
export function bodyOf({ code, message }: Refusal): string {
  return `${JSON.stringify({ errors: [{ code, message, detail: null }] })}\n`
}

/** What each refusal carries, whoever writes it. */
export function commonHeaders(body: string): Record<string, string> {
  return {
    'Content-Type': 'application/json',
    'Content-Length': String(Buffer.byteLength(body)),
    'Docker-Distribution-Api-Version': 'registry/2.0',
    'X-Content-Type-Options': 'nosniff',
  }
}
