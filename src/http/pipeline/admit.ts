// Refuses requests that no client may send, before authentication.
// Threat: the upstream reads a request in another way than the sidecar, so ambiguous requests are refused.

import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import { REQUEST_HEADERS } from '../../upstream/headers.ts'
import { hasBody } from '../../upstream/drain-request-body.ts'
import { parseHost } from '../host-header.ts'
import { refusal, type Refusal } from '../refusals.ts'
import type { DrainGate } from './drain-gate.ts'
import { refuse, type Step } from './step.ts'
import { decodeDigest, targetObjection } from './request-target.ts'

export const METHODS: ReadonlySet<string> = new Set([
  'GET',
  'HEAD',
  'POST',
  'PUT',
  'PATCH',
  'DELETE',
  'OPTIONS',
])

// Some servers read a body of these methods as the next request.
const BODILESS_METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'DELETE', 'OPTIONS'])

// Servers differ in which of two equal headers they use, and Node itself keeps the first or joins them.
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

// The registry prefers parameters in a form body to the checked parameters of the target.
const FORM = /^\s*(?:application\/x-www-form-urlencoded|multipart\/)/i

// Most servers stop at 8 KiB, and some cut a longer line instead of refusing it.
const MAX_HEADERS = 200
const MAX_HEADER_LINE_BYTES = 8 * 1024

// podman requests up to 1,024 parts of a layer at once. With offsets of 13 digits the line has 28 KiB.
const MAX_RANGES = 1024
const MAX_RANGE_BYTES = 32 * 1024

// For the target and all headers except the value of Range; Node's own limit for a head.
const MAX_OTHER_BYTES = 16 * 1024

/** A connection may use this much memory before its login is checked. */
export const MAX_HEAD_BYTES = MAX_OTHER_BYTES + MAX_RANGE_BYTES

// Only headers that the sidecar reads or forwards; the cookies of a load balancer may be longer.
const LIMITED_HEADERS: ReadonlySet<string> = new Set([
  ...REQUEST_HEADERS,
  ...SINGLE_HEADERS,
  'connection',
  'upgrade',
  'te',
  'trailer',
])

const UPLOAD_IN_PROGRESS = /^\/v2\/.+\/blobs\/uploads\/[^/?]+(?:\?|$)/

// The only address that takes a form, and the registry never gets that form.
const IS_TOKEN_ADDRESS = /^\/token(?:\?|$)/

export function admit(gate: Pick<DrainGate, 'phase'>): Step {
  return async function admitRequest(c, next) {
    const { incoming, outgoing } = c.env
    incoming.url = decodeDigest(incoming.url ?? '')
    const objection = objectionTo(incoming)
    if (objection !== undefined) return refuse(c, andClose(objection), objection.message)
    if (gate.phase === 'stopping' && !UPLOAD_IN_PROGRESS.test(incoming.url)) {
      const stopping = refusal('unavailable', 'the sidecar is stopping; try again', { 'Retry-After': '5' })
      return refuse(c, andClose(stopping), 'draining')
    }
    // The client makes its next request on a new connection, which another sidecar may get.
    if (gate.phase === 'leaving') outgoing.shouldKeepAlive = false
    // An old proxy may forward keep-alive blindly (RFC 9112 §C.2.2). After an Upgrade, Node parses no further request.
    if (incoming.httpVersionMinor === 0 || incoming.headers.upgrade !== undefined)
      outgoing.shouldKeepAlive = false
    await next()
    return undefined
  }
}

type RequestHead = Pick<IncomingMessage, 'method' | 'url' | 'httpVersion' | 'rawHeaders' | 'headers'>

/** Threats: RFC 9112 §11.2 and RFC 9110 §17. */
export function objectionTo(head: RequestHead): Refusal | undefined {
  const { method = '', url = '', httpVersion, rawHeaders, headers } = head
  if (!METHODS.has(method)) {
    return refusal('badMethod', 'no registry method', { Allow: [...METHODS].join(', ') })
  }
  // Node's parser also accepts 0.9 and 2.0. Health checks and proxies still send 1.0.
  if (httpVersion !== '1.1' && httpVersion !== '1.0') {
    return refusal('badVersion', 'the only versions are HTTP/1.1 and HTTP/1.0')
  }
  return (
    headSizeObjection(url, rawHeaders) ??
    targetObjection(url) ??
    headerObjection(rawHeaders) ??
    hostObjection(headers.host) ??
    framingObjection(httpVersion, headers) ??
    bodyObjection(head) ??
    expectationObjection(headers.expect)
  )
}

function andClose(objection: Refusal): Refusal {
  return { ...objection, closes: true }
}

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

// Threat: the registry builds Locations from Host, so a false Host sends clients to another server.
function hostObjection(host: string | undefined): Refusal | undefined {
  // URL refuses ports and addresses out of range.
  const isHost = parseHost(host) !== undefined && URL.canParse(`https://${host ?? ''}`)
  return isHost ? undefined : refusal('badRequest', 'missing or malformed host header')
}

// Threat: servers that disagree where the body ends read the rest as the next request.
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
  // A server of HTTP/1.0 reads chunks as the next request (RFC 9112 §6.1).
  return httpVersion === '1.0' ? refusal('badRequest', 'HTTP/1.0 has no transfer-encoding') : undefined
}

function bodyObjection({ method = '', url = '', headers }: RequestHead): Refusal | undefined {
  if (!hasBody({ headers })) return undefined
  if (BODILESS_METHODS.has(method)) return refusal('badRequest', `${method} takes no body`)
  if (IS_TOKEN_ADDRESS.test(url)) return undefined
  return FORM.test(headers['content-type'] ?? '')
    ? refusal('badRequest', 'a form is no registry content; send it as application/octet-stream')
    : undefined
}

function expectationObjection(expectation: string | undefined): Refusal | undefined {
  if (expectation === undefined || expectation.toLowerCase() === '100-continue') return undefined
  return refusal('badExpectation', 'the only expectation is 100-continue')
}
