// What the fuzzer says: requests as registry clients make them, then spoilt. Grammar first, so that most of what comes out
// is nearly right: what is plainly wrong is refused at once and finds nothing.

import fc from 'fast-check'
import { LOGIN } from '../http/adversary/cases.ts'
import { BYTES, NAMES, REQUESTS, VALUES } from './words.ts'

/** One connection's worth, cut into the pieces that are sent one by one. */
export interface FuzzCase {
  readonly pieces: readonly string[]
}

/** Cases that run beside each other. */
export interface Batch {
  readonly cases: readonly FuzzCase[]
  /** Nobody in it has a login: nothing at all may reach the upstream. */
  readonly isOfStrangers: boolean
}

const TAKEN_FROM_STRANGERS = 'Authorization: Basic c3RyYW5nZXI6c3RyYW5nZXI='

export function batches(size: number): fc.Arbitrary<Batch> {
  return fc
    .record({
      cases: fc.array(connection(), { minLength: size, maxLength: size }),
      isOfStrangers: fc.integer({ min: 0, max: 3 }).map((n) => n === 0),
    })
    .map(({ cases, isOfStrangers }) => ({
      isOfStrangers,
      cases: isOfStrangers ? cases.map(withoutLogin) : cases,
    }))
}

// Cut anew in one piece: the login could lie across a cut.
function withoutLogin({ pieces }: FuzzCase): FuzzCase {
  const token = LOGIN.split(' ').at(-1) ?? ''
  return { pieces: [pieces.join('').replaceAll(LOGIN, TAKEN_FROM_STRANGERS).replaceAll(token, 'eA==')] }
}

type Spoil = (bytes: string) => string

const place = fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true })
const at = (bytes: string, where: number): number => Math.floor(where * (bytes.length + 1))

const spoil: fc.Arbitrary<Spoil> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.tuple(place, fc.constantFrom(...BYTES)).map(
      ([where, text]) =>
        (bytes: string) =>
          bytes.slice(0, at(bytes, where)) + text + bytes.slice(at(bytes, where)),
    ),
  },
  {
    weight: 2,
    arbitrary: fc.tuple(place, fc.constantFrom(...BYTES)).map(
      ([where, text]) =>
        (bytes: string) =>
          bytes.slice(0, at(bytes, where)) + text + bytes.slice(at(bytes, where) + 1),
    ),
  },
  {
    weight: 1,
    arbitrary: fc.tuple(place, fc.integer({ min: 1, max: 40 })).map(
      ([where, count]) =>
        (bytes: string) =>
          bytes.slice(0, at(bytes, where)) + bytes.slice(at(bytes, where) + count),
    ),
  },
  {
    weight: 1,
    arbitrary: fc.tuple(place, place, fc.integer({ min: 1, max: 80 })).map(
      ([from, to, count]) =>
        (bytes: string) =>
          bytes.slice(0, at(bytes, to)) +
          bytes.slice(at(bytes, from), at(bytes, from) + count) +
          bytes.slice(at(bytes, to)),
    ),
  },
  {
    weight: 6,
    arbitrary: fc
      .tuple(
        place,
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
    arbitrary: place.map((where) => (bytes: string) => onLines(bytes, where, (line) => [line, line])),
  },
  { weight: 2, arbitrary: place.map((where) => (bytes: string) => onLines(bytes, where, () => [])) },
  {
    weight: 1,
    arbitrary: fc.tuple(place, fc.constantFrom('\n', '\r', '\r\r\n', '\r\n ')).map(
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
  .tuple(fc.constantFrom(...REQUESTS), fc.array(spoil, { maxLength: 3 }))
  .map(([bytes, spoils]) => spoils.reduce((spoilt, change) => change(spoilt), bytes))

function connection(): fc.Arbitrary<FuzzCase> {
  return fc
    .tuple(fc.array(request, { minLength: 1, maxLength: 3 }), fc.array(place, { maxLength: 4 }))
    .map(([requests, cuts]) => {
      const bytes = requests.join('')
      const places = [...new Set(cuts.map((where) => at(bytes, where)))].sort((a, b) => a - b)
      const pieces = [0, ...places].map((from, i) => bytes.slice(from, places[i]))
      return { pieces: pieces.filter((piece) => piece !== '') }
    })
}
