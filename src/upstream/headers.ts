// Lists which headers are forwarded, removed and added, and why.
//
// Threat: the registry, or a proxy before it, believes headers from any client. No list can name all headers from
// which servers take a user, an address, a target or a method. So a request gets only the headers in REQUEST_HEADERS
// and our own. Answers come from the registry, which we trust with content, and clients know headers that we do not.
// So answers keep all headers except listed ones.

import type { IncomingHttpHeaders } from 'node:http'
import type { LocationRewrite } from './location-rewrite.ts'
import { WITHHELD_HEADERS } from './withheld-headers.ts'

/** Headers that are forwarded to the registry, each with its use there. */
export const REQUEST_HEADERS: ReadonlySet<string> = new Set([
  // The registry builds Locations from it.
  'host',
  // The end of the body. `admit` refuses requests with both. With neither, a body would be the next request.
  'content-length',
  'transfer-encoding',
  // The kind of a pushed manifest. Uploads must have application/octet-stream.
  'content-type',
  // The place of a chunk in an upload.
  'content-range',
  'accept',
  // The registry compresses nothing, but a proxy before it may.
  'accept-encoding',
  // Resumed pulls: parts of blobs, and whether a blob is still the same.
  'range',
  'if-range',
  // Manifests and blobs have ETags, so that a client does not download them twice.
  'if-match',
  'if-none-match',
  'if-modified-since',
  'if-unmodified-since',
  // Makes a pull-through cache check its source again.
  'cache-control',
  // For the registry's log and notifications.
  'user-agent',
  // W3C Trace Context: registry 3 continues the client's trace. Both are ids and cannot name a user.
  'traceparent',
  'tracestate',
])

// Left out on purpose: Authorization and Cookie (only the sidecar may read them), Expect (the sidecar answers it),
// Forwarded, X-Forwarded-*, X-Real-IP and the like (only the sidecar may set them), X-Request-Id (the sidecar's own
// joins both logs), Origin and Referer (registry:2 ignores them), and hop-by-hop headers.

// These headers end at the next hop (RFC 9110 §7.6.1).
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

// Threat: a client lists one of these in `Connection`. Removing it would change the end or the meaning of the body.
const NEVER_HOP_BY_HOP: ReadonlySet<string> = new Set([
  'host',
  'content-length',
  'content-type',
  'content-range',
  'transfer-encoding',
  'range',
])

const NONE: ReadonlySet<string> = new Set()

/** The sender of a request, as far as the registry gets to know it. */
export interface ForwardedFor {
  readonly username: string
  readonly address: string
  /** The request's id in our log. */
  readonly requestId: string
}

/** Returns the headers for the registry: the listed ones of the client, and those that only the sidecar may set. */
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
  headers['x-forwarded-user'] = Buffer.from(username, 'utf8').toString('latin1')
  headers['x-request-id'] = requestId
  return headers
}

export interface AnswerContext {
  readonly host: string | undefined
  readonly rewriteLocation: LocationRewrite
}

/**
 * Returns the headers for the client, as a flat list of names and values in the registry's spelling. Keeps the length
 * of the body but not its transfer coding, because Node frames our answer for the client's HTTP version.
 */
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
  // Threat: a blob holds what a user pushed. A browser must not show it as a page.
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
