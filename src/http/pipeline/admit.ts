// Refuses requests that no client may send, before authentication.
//
// The upstream obeys every request that reaches it. So a request that two parsers could read in two ways is refused
// before any other part reads it.

import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import { REQUEST_HEADERS } from '../../upstream/headers.ts'
import { hasBody } from '../../upstream/drain-request-body.ts'
import { parseHost } from '../host-header.ts'
import { refusal, type Refusal } from '../refusals.ts'
import type { DrainGate } from './drain-gate.ts'
import { refuse, type Step } from './step.ts'
import { decodeDigest, targetObjection } from './request-target.ts'

/** The methods of the distribution specification, and OPTIONS, which the registry answers with its methods. */
export const METHODS: ReadonlySet<string> = new Set([
  'GET',
  'HEAD',
  'POST',
  'PUT',
  'PATCH',
  'DELETE',
  'OPTIONS',
])

// Servers that expect no body on these methods read a body as the next request.
const BODILESS_METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'DELETE', 'OPTIONS'])

// When a header comes twice, one server believes the first, another the last. Node itself keeps the first of some of these
// headers and joins others with a comma, so a second header would change the first.
const SINGLE_HEADERS = [
  'host',
  'authorization',
  'content-length',
  'transfer-encoding',
  'expect',
  'content-type',
  'content-range',
  'range',
  'if-range',
] as const

// No leading zero, because some servers read such a number as octal.
const LENGTH = /^(?:0|[1-9]\d{0,14})$/

// The registry's framework reads parameters from such a body and prefers them to those of the target. An upload's "from"
// and "mount" would differ from the ones checked here. No client pushes content of these types.
const FORM = /^\s*(?:application\/x-www-form-urlencoded|multipart\/)/i

// Registry clients send about ten headers, the longest with a token. Most servers stop at 8 KiB, and one server may cut
// a line that another reads whole.
const MAX_HEADERS = 200
const MAX_HEADER_LINE_BYTES = 8 * 1024

// podman requests up to 1,024 parts of a layer at once, which the registry serves, and merges parts only after a 400.
// With offsets of 13 digits the line has 28 KiB.
const MAX_RANGES = 1024
const MAX_RANGE_BYTES = 32 * 1024

// The target, and all names and values except Range's value. Node's own limit for a head.
const MAX_OTHER_BYTES = 16 * 1024

/** Longer heads are refused while they arrive. Each connection may use this much memory before its login is checked. */
export const MAX_HEAD_BYTES = MAX_OTHER_BYTES + MAX_RANGE_BYTES

// Headers that the registry gets or the sidecar reads. Others are not forwarded, such as cookies of a browser or a load
// balancer. They may be longer, because the limit of the whole head is enough for them.
const LIMITED_HEADERS: ReadonlySet<string> = new Set([
  ...REQUEST_HEADERS,
  ...SINGLE_HEADERS,
  'connection',
  'upgrade',
  'te',
  'trailer',
])

const UPLOAD_IN_PROGRESS = /^\/v2\/.+\/blobs\/uploads\/[^/?]+(?:\?|$)/

/** Admits only requests that every parser reads the same way; while draining, only requests that finish an upload. */
export function admit(gate: Pick<DrainGate, 'isDraining'>): Step {
  return async function admitRequest(c, next) {
    const { incoming, outgoing } = c.env
    incoming.url = decodeDigest(incoming.url ?? '')
    const objection = objectionTo(incoming)
    if (objection !== undefined) return refuse(c, andClose(objection), objection.message)
    if (gate.isDraining && !UPLOAD_IN_PROGRESS.test(incoming.url)) {
      const stopping = refusal('unavailable', 'the sidecar is stopping; try again', { 'Retry-After': '5' })
      return refuse(c, andClose(stopping), 'draining')
    }
    // HTTP/1.0 has no persistent connections, and an old proxy may forward `Connection: keep-alive` without knowing it
    // (RFC 9112 §C.2.2). Node stops parsing after a request with Upgrade, so later requests would wait for ever.
    if (incoming.httpVersionMinor === 0 || incoming.headers.upgrade !== undefined)
      outgoing.shouldKeepAlive = false
    await next()
    return undefined
  }
}

type RequestHead = Pick<IncomingMessage, 'method' | 'url' | 'httpVersion' | 'rawHeaders' | 'headers'>

/** Returns the refusal of an invalid head, or undefined. Threats: RFC 9112 §11.2 and RFC 9110 §17. */
export function objectionTo(head: RequestHead): Refusal | undefined {
  const { method = '', url = '', httpVersion, rawHeaders, headers } = head
  if (!METHODS.has(method)) {
    return refusal('badMethod', 'no registry method', { Allow: [...METHODS].join(', ') })
  }
  // Node's parser accepts 0.9 and 2.0 too, with headers and body as in 1.1. Health checks and proxies still speak 1.0.
  if (httpVersion !== '1.1' && httpVersion !== '1.0') {
    return refusal('badVersion', 'the only versions are HTTP/1.1 and HTTP/1.0')
  }
  return (
    headSizeObjection(url, rawHeaders) ??
    targetObjection(url) ??
    headerObjection(rawHeaders) ??
    hostObjection(headers.host) ??
    framingObjection(httpVersion, headers) ??
    bodyObjection(method, headers) ??
    expectationObjection(headers.expect)
  )
}

// Nothing else on this connection is read, because a client that sends a malformed request is confused or hostile.
function andClose(objection: Refusal): Refusal {
  return { ...objection, closes: true }
}

// Counts like Node's parser, which does not know that Range may be longer than other headers.
function headSizeObjection(url: string, rawHeaders: readonly string[]): Refusal | undefined {
  let bytes = url.length
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const [name = '', value = ''] = [rawHeaders[i], rawHeaders[i + 1]]
    bytes += name.length + (name.toLowerCase() === 'range' ? 0 : value.length)
  }
  return bytes < MAX_OTHER_BYTES ? undefined : refusal('headTooLarge', 'the request head is too large')
}

function headerObjection(rawHeaders: readonly string[]): Refusal | undefined {
  if (rawHeaders.length > 2 * MAX_HEADERS) return refusal('headTooLarge', 'too many headers')
  const counts = new Map<string, number>()
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const [name = '', value = ''] = [rawHeaders[i], rawHeaders[i + 1]]
    const key = name.toLowerCase()
    if (key === 'range' && value.split(',', MAX_RANGES + 1).length > MAX_RANGES) {
      return refusal('badRequest', `more than ${MAX_RANGES} ranges; merge some or send several requests`)
    }
    const limit = key === 'range' ? MAX_RANGE_BYTES : MAX_HEADER_LINE_BYTES
    if (name.length + value.length > limit && LIMITED_HEADERS.has(key)) {
      return refusal('headTooLarge', `the ${key} header is too long`)
    }
    counts.set(key, (counts.get(key) ?? 0) + 1)
  }
  for (const name of SINGLE_HEADERS) {
    if ((counts.get(name) ?? 0) > 1) return refusal('badRequest', `more than one ${name} header`)
  }
  return undefined
}

// The registry builds Locations from the Host header, so a Host of another server would send clients there. `URL` has
// checked already that the port is at most 65535.
function hostObjection(host: string | undefined): Refusal | undefined {
  return parseHost(host) === undefined ? refusal('badRequest', 'missing or malformed host header') : undefined
}

// Two servers must agree where the body ends. Otherwise one of them reads the rest as the next request.
function framingObjection(httpVersion: string, headers: IncomingHttpHeaders): Refusal | undefined {
  const length = headers['content-length']
  const coding = headers['transfer-encoding']
  if (length !== undefined && coding !== undefined) {
    return refusal('badRequest', 'both content-length and transfer-encoding')
  }
  if (length !== undefined && !LENGTH.test(length)) return refusal('badRequest', 'malformed content-length')
  if (coding === undefined) return undefined
  if (coding.toLowerCase() !== 'chunked')
    return refusal('badRequest', 'the only transfer-encoding is chunked')
  // A server of HTTP/1.0 does not know chunks and reads them as the next request (RFC 9112 §6.1).
  return httpVersion === '1.0' ? refusal('badRequest', 'HTTP/1.0 has no transfer-encoding') : undefined
}

function bodyObjection(method: string, headers: IncomingHttpHeaders): Refusal | undefined {
  if (!hasBody({ headers })) return undefined
  if (BODILESS_METHODS.has(method)) return refusal('badRequest', `${method} takes no body`)
  return FORM.test(headers['content-type'] ?? '')
    ? refusal('badRequest', 'a form is no registry content; send it as application/octet-stream')
    : undefined
}

function expectationObjection(expectation: string | undefined): Refusal | undefined {
  if (expectation === undefined || expectation.toLowerCase() === '100-continue') return undefined
  return refusal('badExpectation', 'the only expectation is 100-continue')
}
