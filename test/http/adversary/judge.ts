// What must hold for every case, whatever it sends and whatever it is answered: nothing unauthenticated reaches the
// upstream, one request reaches it per admitted one, and nothing that a client claims to be.

import { ECHO_AGENT, ECHO_ID } from '../../fixtures/lenient-upstream.ts'
import { LENIENCIES, readRequests, type SeenRequest } from '../../fixtures/lenient-reading.ts'
import type { Answer } from '../../fixtures/conversation.ts'

/** What is known of the front that the cases went through. */
export interface JudgedFront {
  /** Whether a request shows that the front let its user in. */
  hasProof(request: SeenRequest): boolean
  /** What is wrong with a request's headers, one sentence each. */
  wrongHeaders(request: SeenRequest): readonly string[]
}

export interface Evidence {
  /** Requests that the upstream saw because of this case. */
  readonly seen: readonly SeenRequest[]
  /** Sentences about bytes that two servers read in two ways. */
  readonly ambiguities: readonly string[]
  readonly answers: readonly Answer[]
  readonly name: string
  /** What the client sent. */
  readonly bytes: string
  readonly isCut: boolean
  readonly hangs: boolean
}

/** What the front broke, one sentence each. */
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

/** What the upstream saw, by the name of the case that made it see it. A request without name is its forerunner's. */
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

/** Where others read what a connection brought in another way than the usual ones. */
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

// Names under which some server takes what a client may not say. Beside them no value may hold the word "evil", which
// stands in everything that the table's clients claim to be.
const CLAIMS =
  /^(?:authorization|proxy-authorization|cookie|forwarded|x-real-ip|true-client-ip|remote-user|x-remote-.*|x-auth-.*|x-original-.*|x-rewrite-.*|x-http-method.*|x-method-override|x-registry-auth|proxy|via|origin|referer|baggage|cf-.*|expect|upgrade|te|trailer|http2-settings|proxy-connection|keep-alive)$/

/** What in a request is a client's claim, other than under the names in `passed`. */
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

/** The sidecar: it says what only it may say, once each. */
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

/** A front that hands the login on, and says nothing of its own. */
export function frontThatPassesLogins(authorization: string): JudgedFront {
  return {
    hasProof: ({ headers }) =>
      headers.some(([name, value]) => name === 'authorization' && value === authorization),
    wrongHeaders: (request) => claimsIn(request, LOGIN),
  }
}
