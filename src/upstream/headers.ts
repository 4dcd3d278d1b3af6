// What of a request and of an answer passes, what is added, and why, as lists.
//
// Requests are built, not copied: the registry gets what stands in REQUEST_HEADERS and what we say ourselves. It
// believes headers from anyone who reaches it, and so do whatever stands before it and what replaces it one day; nobody
// can list all the names under which servers take a user, an address, another target or another method from a header,
// so a list of what must not pass would never be whole. Answers come from the registry, which we trust with content,
// and clients know headers that we do not: there the list is of what must not pass.

import type { IncomingHttpHeaders } from 'node:http'
import type { LocationRewrite } from './location-rewrite.ts'
import { WITHHELD_HEADERS } from './withheld-headers.ts'

/** What a client's request keeps, each with what the registry does with it. */
export const REQUEST_HEADERS: ReadonlySet<string> = new Set([
  // The name that clients call; the registry builds Locations from it.
  'host',
  // Where the body ends. Never both: admit sees to it. Without either a body would be the next request.
  'content-length',
  'transfer-encoding',
  // The kind of a manifest that is pushed; an upload takes none but application/octet-stream.
  'content-type',
  // Where in an upload a chunk belongs.
  'content-range',
  // Which kinds of manifest the client understands.
  'accept',
  // The registry compresses nothing, but an answer is to be what the client asked for, whoever gives it.
  'accept-encoding',
  // Parts of blobs, and whether they are the same as before: resumed pulls.
  'range',
  'if-range',
  // Manifests and blobs have ETags: what the client has already is not sent again.
  'if-match',
  'if-none-match',
  'if-modified-since',
  'if-unmodified-since',
  // A cache that pulls through is told to look again.
  'cache-control',
  // For the registry's log and its notifications.
  'user-agent',
  // W3C Trace Context: registry 3 continues the client's trace. Both are ids, in neither can one say who one is.
  'traceparent',
  'tracestate',
])

// Not among them, and missed by nobody: Authorization and Cookie (ours to check, nobody's to read), Expect (answered by
// us), Forwarded, X-Forwarded-*, X-Real-IP and their kin (ours to say), X-Request-Id (ours, so that logs can be
// joined), Origin and Referer (registry:2 decides nothing by them), and what ends at the next hop.

// Meaning ends at the next hop (RFC 9110 §7.6.1).
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

// Removing one of these because `Connection` lists it would change where the request's body ends or what it means.
const NEVER_HOP_BY_HOP: ReadonlySet<string> = new Set([
  'host',
  'content-length',
  'content-type',
  'content-range',
  'transfer-encoding',
  'range',
])

const NONE: ReadonlySet<string> = new Set()

/** Who sent the request; the part of it that the registry is told. */
export interface ForwardedFor {
  readonly username: string
  readonly address: string
  /** The request's id in our log. */
  readonly requestId: string
}

/** The headers the registry gets: of the client's what it needs, plus what only we may say. */
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
  // In the one spelling that every server knows.
  if (headers['transfer-encoding'] !== undefined) headers['transfer-encoding'] = 'chunked'
  headers['x-forwarded-proto'] = 'https'
  if (received.host !== undefined) headers['x-forwarded-host'] = received.host
  headers['x-forwarded-for'] = address
  // Header values are bytes; Node takes them as Latin-1. Names may be any UTF-8.
  headers['x-forwarded-user'] = Buffer.from(username, 'utf8').toString('latin1')
  headers['x-request-id'] = requestId
  return headers
}

/** What an answer's headers depend on besides the registry's own. */
export interface AnswerContext {
  /** What the client called: its Host header. */
  readonly host: string | undefined
  readonly rewriteLocation: LocationRewrite
}

/**
 * The headers the client gets, as a flat list of names and values in the registry's spelling. The length of the body
 * is passed on; its coding is not: Node frames our answer as the client's HTTP version demands.
 */
export function responseHeaders(rawHeaders: readonly string[], context: AnswerContext): string[] {
  const { listed, isChunked } = framingOf(rawHeaders)
  const passed: string[] = []
  let isSniffable = true
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const [name = '', value = ''] = [rawHeaders[i], rawHeaders[i + 1]]
    const key = name.toLowerCase()
    if (!isPassed(key, listed, isChunked)) continue
    if (key === 'x-content-type-options') isSniffable = false
    passed.push(name, key === 'location' ? locationFor(value, context) : value)
  }
  // A blob is what somebody pushed: a browser must not take it for a page.
  if (isSniffable) passed.push('X-Content-Type-Options', 'nosniff')
  return passed
}

function locationFor(location: string, { host, rewriteLocation }: AnswerContext): string {
  return host === undefined ? location : rewriteLocation(location, host)
}

function isPassed(name: string, listed: ReadonlySet<string>, isChunked: boolean): boolean {
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
