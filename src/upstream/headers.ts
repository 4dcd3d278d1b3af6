// Lists which headers are forwarded, removed and added, and why.
// Threat: the registry, or a proxy before it, believes headers from any client. So requests get only listed headers.

import type { IncomingHttpHeaders } from 'node:http'
import type { LocationRewrite } from './location-rewrite.ts'
import { WITHHELD_HEADERS } from './withheld-headers.ts'

export const REQUEST_HEADERS: ReadonlySet<string> = new Set([
  'host',
  // Threat: without either header, the body would become the next request. `admit` refuses requests with both.
  'content-length',
  'transfer-encoding',
  'content-type',
  'content-range',
  'accept',
  'accept-encoding',
  'range',
  'if-range',
  'if-match',
  'if-none-match',
  'if-modified-since',
  'if-unmodified-since',
  'cache-control',
  'user-agent',
  // W3C Trace Context. Both headers contain only ids, so they cannot name a user.
  'traceparent',
  'tracestate',
])

// Only the sidecar reads Authorization, Cookie and Expect, and only the sidecar sets X-Forwarded-* and X-Request-Id.

// RFC 9110 §7.6.1.
const HOP_BY_HOP: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'upgrade',
  'http2-settings',
])

// Threat: a client lists one of these in `Connection`, so that its removal changes the end or meaning of the body.
const NEVER_HOP_BY_HOP: ReadonlySet<string> = new Set([
  'host',
  'content-length',
  'content-type',
  'content-range',
  'transfer-encoding',
  'range',
])

const NONE: ReadonlySet<string> = new Set()

export interface ForwardedFor {
  readonly username: string | undefined
  readonly address: string
  readonly requestId: string
}

export function requestHeaders(
  received: IncomingHttpHeaders,
  { username, address, requestId }: ForwardedFor,
): IncomingHttpHeaders {
  const listed = connectionOptions(received.connection)
  const headers: IncomingHttpHeaders = {}
  for (const name in received) {
    const value = received[name]
    if (value === undefined || !REQUEST_HEADERS.has(name)) continue
    if (!listed.has(name) || NEVER_HOP_BY_HOP.has(name)) headers[name] = value
  }
  if (headers['transfer-encoding'] !== undefined) headers['transfer-encoding'] = 'chunked'
  headers['x-forwarded-proto'] = 'https'
  if (received.host !== undefined) headers['x-forwarded-host'] = received.host
  headers['x-forwarded-for'] = address
  // Node writes header values as Latin-1. Usernames may be any UTF-8.
  if (username !== undefined) headers['x-forwarded-user'] = Buffer.from(username, 'utf8').toString('latin1')
  headers['x-request-id'] = requestId
  return headers
}

export interface AnswerContext {
  readonly host: string | undefined
  readonly rewriteLocation: LocationRewrite
}

/** Returns a flat list of names and values. It has no Transfer-Encoding, because Node frames the answer itself. */
export function responseHeaders(rawHeaders: readonly string[], context: AnswerContext): string[] {
  const { listed, isChunked } = framingOf(rawHeaders)
  const forwarded: string[] = []
  let isSniffable = true
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const [name = '', value = ''] = [rawHeaders[i], rawHeaders[i + 1]]
    const key = name.toLowerCase()
    if (!isForwarded(key, listed, isChunked)) continue
    if (key === 'x-content-type-options') isSniffable = false
    forwarded.push(name, key === 'location' ? locationFor(value, context) : value)
  }
  // Threat: a user pushes a blob that a browser then shows as a page.
  if (isSniffable) forwarded.push('X-Content-Type-Options', 'nosniff')
  return forwarded
}

function locationFor(location: string, { host, rewriteLocation }: AnswerContext): string {
  return host === undefined ? location : rewriteLocation(location, host)
}

function isForwarded(name: string, listed: ReadonlySet<string>, isChunked: boolean): boolean {
  if (HOP_BY_HOP.has(name) || WITHHELD_HEADERS.has(name) || name === 'transfer-encoding') return false
  if (name === 'content-length') return !isChunked
  return NEVER_HOP_BY_HOP.has(name) || !listed.has(name)
}

function framingOf(rawHeaders: readonly string[]): { listed: ReadonlySet<string>; isChunked: boolean } {
  let options = ''
  let isChunked = false
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const name = (rawHeaders[i] ?? '').toLowerCase()
    if (name === 'connection') options += `,${rawHeaders[i + 1] ?? ''}`
    if (name === 'transfer-encoding') isChunked = true
  }
  return { listed: connectionOptions(options), isChunked }
}

function connectionOptions(value: string | undefined): ReadonlySet<string> {
  if (value === undefined || value === '') return NONE
  return new Set(value.split(',').map((option) => option.trim().toLowerCase()))
}
