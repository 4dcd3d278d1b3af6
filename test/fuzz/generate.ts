// Generates requests of registry clients and mutates them.
//
// Mutations start from valid requests because the sidecar refuses clearly invalid bytes early, which finds nothing.

import fc from 'fast-check'
import { LOGIN } from '../http/adversary/cases.ts'
import { BYTES, NAMES, REQUESTS, VALUES } from './vocabulary.ts'

/** The bytes of one connection, cut into pieces that are sent one by one. */
export interface FuzzCase {
  readonly pieces: readonly string[]
}

/** Cases that run in parallel. */
export interface Batch {
  readonly cases: readonly FuzzCase[]
  /** No case has a login, so nothing may reach the upstream. */
  readonly isUnauthenticated: boolean
}

const UNKNOWN_LOGIN = 'Authorization: Basic c3RyYW5nZXI6c3RyYW5nZXI='

export function batches(size: number): fc.Arbitrary<Batch> {
  return fc
    .record({
      cases: fc.array(connection(), { minLength: size, maxLength: size }),
      isUnauthenticated: fc.integer({ min: 0, max: 3 }).map((n) => n === 0),
    })
    .map(({ cases, isUnauthenticated }) => ({
      isUnauthenticated,
      cases: isUnauthenticated ? cases.map(withoutLogin) : cases,
    }))
}

// Joins the pieces because a cut could split the login.
function withoutLogin({ pieces }: FuzzCase): FuzzCase {
  const token = LOGIN.split(' ').at(-1) ?? ''
  return { pieces: [pieces.join('').replaceAll(LOGIN, UNKNOWN_LOGIN).replaceAll(token, 'eA==')] }
}

type Mutation = (bytes: string) => string

const position = fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true })
const indexAt = (bytes: string, where: number): number => Math.floor(where * (bytes.length + 1))

const mutation: fc.Arbitrary<Mutation> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.tuple(position, fc.constantFrom(...BYTES)).map(
      ([where, text]) =>
        (bytes: string) =>
          bytes.slice(0, indexAt(bytes, where)) + text + bytes.slice(indexAt(bytes, where)),
    ),
  },
  {
    weight: 2,
    arbitrary: fc.tuple(position, fc.constantFrom(...BYTES)).map(
      ([where, text]) =>
        (bytes: string) =>
          bytes.slice(0, indexAt(bytes, where)) + text + bytes.slice(indexAt(bytes, where) + 1),
    ),
  },
  {
    weight: 1,
    arbitrary: fc.tuple(position, fc.integer({ min: 1, max: 40 })).map(
      ([where, count]) =>
        (bytes: string) =>
          bytes.slice(0, indexAt(bytes, where)) + bytes.slice(indexAt(bytes, where) + count),
    ),
  },
  {
    weight: 1,
    arbitrary: fc.tuple(position, position, fc.integer({ min: 1, max: 80 })).map(
      ([from, to, count]) =>
        (bytes: string) =>
          bytes.slice(0, indexAt(bytes, to)) +
          bytes.slice(indexAt(bytes, from), indexAt(bytes, from) + count) +
          bytes.slice(indexAt(bytes, to)),
    ),
  },
  {
    weight: 6,
    arbitrary: fc
      .tuple(
        position,
        fc.constantFrom(...NAMES),
        fc.constantFrom(...VALUES),
        fc.constantFrom(': ', ':', ' : ', ':\r\n ', ':\t'),
      )
      .map(
        ([where, name, value, colon]) =>
          (bytes: string) =>
            onLines(bytes, where, (line) => [line, `${name}${colon}${value}`]),
      ),
  },
  {
    weight: 2,
    arbitrary: position.map((where) => (bytes: string) => onLines(bytes, where, (line) => [line, line])),
  },
  { weight: 2, arbitrary: position.map((where) => (bytes: string) => onLines(bytes, where, () => [])) },
  {
    weight: 1,
    arbitrary: fc.tuple(position, fc.constantFrom('\n', '\r', '\r\r\n', '\r\n ')).map(
      ([where, end]) =>
        (bytes: string) =>
          onLines(bytes, where, (line) => [`${line}${end}X-A: b`]),
    ),
  },
  {
    weight: 1,
    arbitrary: fc
      .constantFrom('HTTP/1.0', 'HTTP/0.9', 'HTTP/2.0', 'HTTP/1.2', 'http/1.1', 'RTSP/1.0')
      .map((version) => (bytes: string) => bytes.replace('HTTP/1.1', version)),
  },
)

function onLines(bytes: string, where: number, change: (line: string) => readonly string[]): string {
  const lines = bytes.split('\r\n')
  const index = Math.floor(where * lines.length)
  return lines.flatMap((line, i) => (i === index ? change(line) : [line])).join('\r\n')
}

const request = fc
  .tuple(fc.constantFrom(...REQUESTS), fc.array(mutation, { maxLength: 3 }))
  .map(([bytes, mutations]) => mutations.reduce((mutated, mutate) => mutate(mutated), bytes))

function connection(): fc.Arbitrary<FuzzCase> {
  return fc
    .tuple(fc.array(request, { minLength: 1, maxLength: 3 }), fc.array(position, { maxLength: 4 }))
    .map(([requests, cuts]) => {
      const bytes = requests.join('')
      const indexes = [...new Set(cuts.map((where) => indexAt(bytes, where)))].sort((a, b) => a - b)
      const pieces = [0, ...indexes].map((from, i) => bytes.slice(from, indexes[i]))
      return { pieces: pieces.filter((piece) => piece !== '') }
    })
}
