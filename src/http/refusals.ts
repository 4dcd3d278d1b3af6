// Writes the sidecar's own error answers in the registry's form.

import type { IncomingMessage, ServerResponse } from 'node:http'
import { sendAnswer } from './answers.ts'

/** As in the OCI distribution specification and registry:2. */
export const REFUSALS = {
  badRequest: { status: 400, code: 'UNSUPPORTED' },
  unauthorized: { status: 401, code: 'UNAUTHORIZED' },
  denied: { status: 403, code: 'DENIED' },
  notFound: { status: 404, code: 'UNSUPPORTED' },
  badMethod: { status: 405, code: 'UNSUPPORTED' },
  tooSlow: { status: 408, code: 'UNSUPPORTED' },
  tooLarge: { status: 413, code: 'UNSUPPORTED' },
  targetTooLong: { status: 414, code: 'UNSUPPORTED' },
  wrongType: { status: 415, code: 'UNSUPPORTED' },
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
  readonly closes?: boolean
}

export function refusal(
  kind: keyof typeof REFUSALS,
  message: string,
  headers: Readonly<Record<string, string>> = {},
): Refusal {
  return { ...REFUSALS[kind], message, headers }
}

/** Threat: a client that can distinguish "unknown user" from "wrong password" can list the users. */
export function unauthorized(challenge: string): Refusal {
  return refusal('unauthorized', 'authentication required', { 'WWW-Authenticate': challenge })
}

export function sendRefusal(incoming: IncomingMessage, outgoing: ServerResponse, answer: Refusal): void {
  const { status, closes } = answer
  const body = bodyOf(answer)
  sendAnswer(
    { incoming, outgoing },
    { status, headers: { ...commonHeaders(body), ...answer.headers }, body, closes },
  )
}

export function formatRefusal(answer: Refusal): string {
  const body = bodyOf(answer)
  const headers = { ...commonHeaders(body), ...answer.headers, Connection: 'close' }
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  return `HTTP/1.1 ${answer.status} Refused\r\n${lines.join('')}\r\n${body}`
}

/** OCI distribution specification, "Error codes". */
function bodyOf({ code, message }: Refusal): string {
  return `${JSON.stringify({ errors: [{ code, message, detail: null }] })}\n`
}

function commonHeaders(body: string): Record<string, string> {
  return {
    'Content-Type': 'application/json',
    'Content-Length': String(Buffer.byteLength(body)),
    'Docker-Distribution-Api-Version': 'registry/2.0',
    'X-Content-Type-Options': 'nosniff',
  }
}
