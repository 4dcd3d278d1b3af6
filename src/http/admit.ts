// What passes for nobody, whoever asks. The upstream obeys whatever reaches it, so a request that two parsers could
// read in two ways is refused before anything else looks at it.

import type { IncomingMessage } from 'node:http'
import type { DrainGate } from './drain-gate.ts'
import { refuse, type Step } from './pipeline.ts'
import { refusal, type Refusal } from './registry-error.ts'

const METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'])

// A body on one of these is read as the next request by servers that expect none.
const BODILESS_METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'DELETE', 'OPTIONS'])

// The first of two is what one server believes, the last what another does.
const SINGLE_HEADERS = ['host', 'authorization', 'content-length', 'transfer-encoding', 'expect'] as const

// Names, tags, digests and upload ids hold no other characters, so nothing here needs decoding and nothing can be
// decoded twice. A colon never stands before a slash: http-proxy would read "http:/" as a URL.
const PATH = /^(?:\/(?!\.{1,2}(?:\/|$))(?:[A-Za-z0-9._+=-]|:(?!\/))+)*\/?$/

// Printable ASCII without "#", which starts a fragment for some parsers.
const QUERY = /^[\x21\x22\x24-\x7e]*$/

const HOST = /^(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?$/

// Registry clients send about ten.
const MAX_HEADERS = 200

const UPLOAD_IN_PROGRESS = /^\/v2\/.+\/blobs\/uploads\/[^/?]+(?:\?|$)/

/** Lets only requests pass that every parser reads the same way, and while draining only what finishes an upload. */
export function admit(gate: DrainGate): Step {
  return async function admitRequest(c, next) {
    const { incoming, outgoing } = c.env
    const objection = objectionTo(incoming)
    if (objection !== undefined) return refuse(c, andClose(objection), objection.message)
    if (gate.isDraining && !UPLOAD_IN_PROGRESS.test(incoming.url ?? '')) {
      const stopping = refusal('unavailable', 'the sidecar is stopping; try again', { 'Retry-After': '5' })
      return refuse(c, andClose(stopping), 'draining')
    }
    // We speak nothing else, and Node stops parsing after such a request: what a client sends behind it would wait
    // for ever.
    if (incoming.headers.upgrade !== undefined) outgoing.shouldKeepAlive = false
    outgoing.once('close', gate.enter())
    await next()
    return undefined
  }
}

/** What is wrong with a request's head, or undefined. The threats are those of RFC 9112 §11.2 and RFC 9110 §17. */
export function objectionTo(
  incoming: Pick<IncomingMessage, 'method' | 'url' | 'rawHeaders' | 'headers'>,
): Refusal | undefined {
  const method = incoming.method ?? ''
  if (!METHODS.has(method)) {
    return refusal('badMethod', 'no registry method', { Allow: [...METHODS].join(', ') })
  }
  return (
    targetObjection(incoming.url ?? '') ??
    headerObjection(incoming.rawHeaders) ??
    bodyObjection(method, incoming.headers)
  )
}

// Nothing that follows on this connection is looked at: whoever sends a malformed request is confused or hostile.
function andClose(objection: Refusal): Refusal {
  return { ...objection, closes: true }
}

function targetObjection(target: string): Refusal | undefined {
  const mark = target.indexOf('?')
  const path = mark === -1 ? target : target.slice(0, mark)
  if (!path.startsWith('/') || !PATH.test(path)) {
    return refusal('badRequest', 'the path has characters or segments that no registry path has')
  }
  if (mark !== -1 && !QUERY.test(target.slice(mark + 1))) return refusal('badRequest', 'malformed query')
  return undefined
}

function headerObjection(rawHeaders: readonly string[]): Refusal | undefined {
  if (rawHeaders.length > 2 * MAX_HEADERS) return refusal('headTooLarge', 'too many headers')
  const counts = new Map<string, number>()
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = (rawHeaders[i] ?? '').toLowerCase()
    counts.set(name, (counts.get(name) ?? 0) + 1)
  }
  for (const name of SINGLE_HEADERS) {
    if ((counts.get(name) ?? 0) > 1) return refusal('badRequest', `more than one ${name} header`)
  }
  return undefined
}

function bodyObjection(method: string, headers: IncomingMessage['headers']): Refusal | undefined {
  if (!HOST.test(headers.host ?? '')) return refusal('badRequest', 'missing or malformed host header')
  const length = headers['content-length']
  const coding = headers['transfer-encoding']
  if (length !== undefined && coding !== undefined) {
    return refusal('badRequest', 'both content-length and transfer-encoding')
  }
  if (length !== undefined && !/^\d{1,15}$/.test(length))
    return refusal('badRequest', 'malformed content-length')
  if (coding !== undefined && coding.toLowerCase() !== 'chunked') {
    return refusal('badRequest', 'the only transfer-encoding is chunked')
  }
  if (
    BODILESS_METHODS.has(method) &&
    (coding !== undefined || (length !== undefined && Number(length) > 0))
  ) {
    return refusal('badRequest', `${method} takes no body`)
  }
  const expectation = headers.expect
  if (expectation !== undefined && expectation.toLowerCase() !== '100-continue') {
    return refusal('badExpectation', 'the only expectation is 100-continue')
  }
  return undefined
}
