// Sends answers of the sidecar on Node's response.

import type { IncomingMessage, ServerResponse } from 'node:http'
import { endWhenRead, isStillSending } from '../upstream/drain-request-body.ts'

/** A step returns it after it has answered. Hono only passes it on. */
export type Answered = Response & { readonly kind: 'answered' }

export const ANSWERED = Object.freeze({ kind: 'answered' }) as Answered

/** What a step of Hono gets of Node. */
export interface Exchanged {
  readonly incoming: IncomingMessage
  readonly outgoing: ServerResponse
}

export interface OwnAnswer {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body: string
  readonly closes?: boolean | undefined
}

export const TEXT_HEADERS = { 'Content-Type': 'text/plain; charset=UTF-8' } as const

/** Hono's own answers would load Node's fetch, which takes 8 MiB (measured). */
export function sendAnswer(
  { incoming, outgoing }: Exchanged,
  { status, headers, body, closes }: OwnAnswer,
): Answered {
  if (outgoing.headersSent || outgoing.destroyed) {
    outgoing.destroy()
    return ANSWERED
  }
  if (closes === true || isStillSending(incoming)) outgoing.shouldKeepAlive = false
  outgoing.writeHead(status, { ...headers, 'Content-Length': String(Buffer.byteLength(body)) })
  outgoing.write(body)
  endWhenRead(incoming, outgoing)
  return ANSWERED
}
