// What is removed from a request and a response on the way, what is added, and why, as lists.

import type { IncomingHttpHeaders } from 'node:http'

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

// The registry believes these from anyone: a client that sets them chooses the Locations others get, or poses as
// someone else. The password is ours to check and nobody's to read. We answer Expect ourselves.
const NOT_THE_CLIENTS: ReadonlySet<string> = new Set(['authorization', 'expect', 'forwarded', 'x-real-ip'])

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
}

/** The headers the registry gets: the client's, less what must not pass, plus what only we may say. */
export function requestHeaders(
  received: IncomingHttpHeaders,
  { username, address }: ForwardedFor,
): IncomingHttpHeaders {
  const listed = connectionOptions(received.connection)
  const headers: IncomingHttpHeaders = {}
  for (const [name, value] of Object.entries(received)) {
    if (value !== undefined && !isDropped(name, listed)) headers[name] = value
  }
  headers['x-forwarded-proto'] = 'https'
  if (received.host !== undefined) headers['x-forwarded-host'] = received.host
  headers['x-forwarded-for'] = address
  // Header values are bytes; Node takes them as Latin-1. Names may be any UTF-8.
  headers['x-forwarded-user'] = Buffer.from(username, 'utf8').toString('latin1')
  return headers
}

/**
 * The headers the client gets, as a flat list of names and values in the registry's spelling. The length of the body
 * is passed on; its coding is not: Node frames our answer as the client's HTTP version demands.
 */
export function responseHeaders(rawHeaders: readonly string[]): string[] {
  const { listed, isChunked } = framingOf(rawHeaders)
  const passed: string[] = []
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] ?? ''
    if (isPassed(name.toLowerCase(), listed, isChunked)) passed.push(name, rawHeaders[i + 1] ?? '')
  }
  return passed
}

function isPassed(name: string, listed: ReadonlySet<string>, isChunked: boolean): boolean {
  if (HOP_BY_HOP.has(name) || name === 'transfer-encoding') return false
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

function isDropped(name: string, listed: ReadonlySet<string>): boolean {
  // Some servers read an underscore as a hyphen.
  const canonical = name.includes('_') ? name.replaceAll('_', '-') : name
  if (HOP_BY_HOP.has(canonical) || NOT_THE_CLIENTS.has(canonical)) return true
  if (canonical.startsWith('x-forwarded-')) return true
  return listed.has(name) && !NEVER_HOP_BY_HOP.has(name)
}

function connectionOptions(value: string | undefined): ReadonlySet<string> {
  if (value === undefined || value === '') return NONE
  return new Set(value.split(',').map((option) => option.trim().toLowerCase()))
}
