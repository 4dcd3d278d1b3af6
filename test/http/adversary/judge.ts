// Judges what the upstream saw of each case.
//
// Nothing unauthenticated may reach the upstream, exactly one request may reach it per admitted request, and no identity
// that a client claims.

import { ECHO_AGENT, ECHO_ID } from '../../fixtures/lenient-upstream.ts'
import { LENIENCIES, readRequests, type SeenRequest } from '../../fixtures/lenient-reading.ts'
import type { Answer } from '../../fixtures/conversation.ts'

/** The front that forwarded the cases. */
export interface JudgedFront {
  /** Whether a request proves that the front authenticated its user. */
  hasProof(request: SeenRequest): boolean
  /** The problems of a request's headers, one sentence each. */
  wrongHeaders(request: SeenRequest): readonly string[]
}

export interface Evidence {
  /** Requests that the upstream saw because of this case. */
  readonly seen: readonly SeenRequest[]
  /** Bytes that two servers read differently, one sentence each. */
  readonly ambiguities: readonly string[]
  readonly answers: readonly Answer[]
  readonly name: string
  /** The bytes of the client. */
  readonly bytes: string
  readonly isCut: boolean
  readonly hangs: boolean
}

/** The promises that the front broke, one sentence each. */
export function violationsOf(evidence: Evidence, front: JudgedFront): readonly string[] {
  const { seen, ambiguities, answers, name, bytes, isCut, hangs } = evidence
  const forwarded = answers.filter(({ headers }) => ECHO_ID in headers)
  const complete = seen.filter(({ end }) => end !== undefined)
  const partial = seen.length - complete.length
  const foreign = forwarded.filter(({ headers }) => headers[ECHO_AGENT] !== name)
  return [
    ...seen.filter((request) => !front.hasProof(request)).map((request) => `nobody let in: ${show(request)}`),
    ...seen
      .filter(({ target }) => /smuggled|stranger/.test(target))
      .map((request) => `smuggled: ${show(request)}`),
    ...seen
      .filter(({ target }) => !bytes.includes(` ${target} `))
      .map((request) => `changed on the way: ${show(request)}`),
    ...ambiguities,
    ...(complete.length === forwarded.length
      ? []
      : [`${complete.length} requests reached the upstream, ${forwarded.length} were answered`]),
    ...(partial > (isCut ? 1 : 0) ? [`${partial} requests never ended`] : []),
    ...seen.flatMap((request) => front.wrongHeaders(request)),
    ...foreign.map(({ headers }) => `got the answer of ${headers[ECHO_AGENT] ?? ''}`),
    ...(hangs ? ['hangs'] : []),
  ]
}

export function show({ method, target }: SeenRequest): string {
  return JSON.stringify(`${method} ${target}`.slice(0, 80))
}

export interface Reading {
  readonly seen: readonly SeenRequest[]
  readonly ambiguities: readonly string[]
}

/** The requests that the upstream saw, by case name. A request without a name belongs to the one before it. */
export function readByCase(received: readonly string[]): ReadonlyMap<string, Reading> {
  const readings = new Map<string, { seen: SeenRequest[]; ambiguities: string[] }>()
  const readingOf = (name: string) => {
    const reading = readings.get(name) ?? { seen: [], ambiguities: [] }
    readings.set(name, reading)
    return reading
  }
  for (const bytes of received) {
    const seen = readRequests(bytes, LENIENCIES[0])
    let name = 'nobody'
    const names = seen.map((request) => (name = nameOf(request) ?? name))
    seen.forEach((request, i) => readingOf(names[i] ?? name).seen.push(request))
    for (const { index, text } of ambiguitiesOf(bytes, seen)) {
      readingOf(names[Math.min(index, names.length - 1)] ?? name).ambiguities.push(text)
    }
  }
  return readings
}

/** The places where other servers read a connection's bytes differently. */
export function ambiguitiesOf(
  bytes: string,
  usual: readonly SeenRequest[],
): readonly { readonly index: number; readonly text: string }[] {
  const places = (requests: readonly SeenRequest[]) =>
    requests.map(({ method, target, start, end }) => `${method} ${target} ${start}-${end ?? ''}`)
  const mine = places(usual)
  return LENIENCIES.slice(1).flatMap((leniency) => {
    const theirs = places(readRequests(bytes, leniency))
    const index = Array.from({ length: Math.max(mine.length, theirs.length) }).findIndex(
      (_, i) => mine[i] !== theirs[i],
    )
    if (index < 0) return []
    return [
      {
        index,
        text: `those who ${leniency.what} see ${theirs[index] ?? 'nothing'}, not ${mine[index] ?? 'nothing'}`,
      },
    ]
  })
}

function nameOf({ headers }: SeenRequest): string | undefined {
  return headers.find(([name, value]) => name === 'user-agent' && /^c\d{4}$/.test(value))?.[1]
}

// Some server trusts each of these headers, so a client may not send them. No other value may contain "evil" either,
// because every claim in the table contains it.
const CLAIMS =
  /^(?:authorization|proxy-authorization|cookie|forwarded|x-real-ip|true-client-ip|remote-user|x-remote-.*|x-auth-.*|x-original-.*|x-rewrite-.*|x-http-method.*|x-method-override|x-registry-auth|proxy|via|origin|referer|baggage|cf-.*|expect|upgrade|te|trailer|http2-settings|proxy-connection|keep-alive)$/

/** The claims of the client in a request, except in the headers of `passed`. */
export function claimsIn(
  { headers }: SeenRequest,
  passed: ReadonlySet<string> = new Set(),
): readonly string[] {
  return headers
    .filter(([name, value]) => (CLAIMS.test(name) && !passed.has(name)) || /evil/i.test(value))
    .map(([name]) => `${name} is what the client claims`)
}

const OURS: Readonly<Record<string, (value: string, host: string | undefined) => boolean>> = {
  'x-forwarded-user': (value) => value === 'alice',
  'x-forwarded-for': (value) => value === '127.0.0.1',
  'x-forwarded-proto': (value) => value === 'https',
  'x-forwarded-host': (value, host) => value === host,
  'x-request-id': (value) => /^[0-9a-f]{10}-[0-9a-z]+$/.test(value),
}

/** The sidecar sends each of its own headers exactly once. */
export const SIDECAR: JudgedFront = {
  hasProof: ({ headers }) =>
    headers.some(([name, value]) => name === 'x-forwarded-user' && value === 'alice'),
  wrongHeaders: (request) => {
    const valuesOf = (wanted: string) =>
      request.headers.filter(([name]) => name === wanted).map(([, value]) => value)
    const [host] = valuesOf('host')
    const framings = [...valuesOf('content-length'), ...valuesOf('transfer-encoding')]
    return [
      ...claimsIn(request),
      ...Object.entries(OURS).flatMap(([name, isRight]) => {
        const values = valuesOf(name)
        return values.length === 1 && isRight(values[0] ?? '', host)
          ? []
          : [`${name} is ${JSON.stringify(values)}`]
      }),
      ...request.headers
        .filter(([name]) => name.startsWith('x-forwarded-') && !(name in OURS))
        .map(([name]) => `${name} is not ours`),
      ...(framings.length > 1 ? [`framed in ${framings.length} ways`] : []),
    ]
  },
}

const LOGIN: ReadonlySet<string> = new Set(['authorization'])

/** A front that forwards the login and adds no headers. */
export function frontThatPassesLogins(authorization: string): JudgedFront {
  return {
    hasProof: ({ headers }) =>
      headers.some(([name, value]) => name === 'authorization' && value === authorization),
    wrongHeaders: (request) => claimsIn(request, LOGIN),
  }
}
