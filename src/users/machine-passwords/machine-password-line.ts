// Reads and writes the htpasswd line of a machine password.
//   #registry-sidecar token v1 3f9a21bc until 2026-01-31T12:00:00.000Z beside 0123456789abcdef sha256 … allow pull,push
//   in team/** label "cluster 1" alice
// Other tools see a comment. `beside` is a digest of the entry's hash. The name comes last, because it may contain blanks.

import { parseRestriction, type Restriction } from '../../access/restriction.ts'
import { nameProblem } from '../htpasswd-line.ts'
import { isMachinePasswordId } from './machine-secret.ts'
import { parseTime } from '../old-password-line.ts'

export interface MachinePasswordLine {
  readonly kind: 'machine'
  readonly id: string
  readonly username: string
  readonly digest: string
  /** Milliseconds since 1970. */
  readonly validUntil: number
  readonly binding: string
  readonly restriction: Restriction
  readonly label: string
}

export type ParsedMachineLine =
  | MachinePasswordLine
  | { readonly kind: 'malformed'; readonly reason: string }
  | { readonly kind: 'other' }

const PREFIX = '#registry-sidecar token'
const VERSION = 'v1'
const OTHER = { kind: 'other' } as const
const DAMAGED = {
  kind: 'malformed',
  reason: 'this line should hold a machine password, but it is damaged; remove it',
} as const

const MAX_LABEL_LENGTH = 64

const BODY =
  /^(\S+) until (\S+) beside ([0-9a-f]{16}) sha256 ([0-9a-f]{64}) allow (\S+) in (\S+) label ("(?:[^"\\]|\\.)*") (.+)$/

/** A reason never contains a digest. */
export function parseMachineLine(text: string): ParsedMachineLine {
  if (!text.startsWith(PREFIX)) return OTHER
  const rest = text.slice(PREFIX.length).trimEnd()
  if (rest !== '' && !/^\s/.test(rest)) return OTHER
  const [, version = '', body = ''] = /^ (\S+) (.*)$/.exec(rest) ?? []
  if (version === VERSION) return parseBody(body)
  if (!/^v\d+$/.test(version)) return DAMAGED
  return {
    kind: 'malformed',
    reason: `this line holds a machine password in format ${version.slice(0, 9)}, which only a newer version reads`,
  }
}

export function formatMachineLine(line: Omit<MachinePasswordLine, 'kind'>): string {
  const { id, username, digest, validUntil, binding, restriction, label } = line
  const until = new Date(validUntil).toISOString()
  return (
    `${PREFIX} ${VERSION} ${id} until ${until} beside ${binding} sha256 ${digest} ` +
    `allow ${restriction.allow.join(',')} in ${restriction.repositories.join(',')} label ${JSON.stringify(label)} ${username}`
  )
}

/** Never repeats the text. Threat: a line feed adds an entry, and an escape sequence changes what a terminal shows. */
export function labelProblem(label: string): string | undefined {
  if (/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u.test(label)) return 'the label holds a control character'
  return label.length > MAX_LABEL_LENGTH
    ? `the label is longer than ${MAX_LABEL_LENGTH} characters`
    : undefined
}

function parseBody(body: string): ParsedMachineLine {
  const match = BODY.exec(body)
  if (match === null) return DAMAGED
  const [, id = '', until = '', binding = '', digest = '', allow = '', repositories = ''] = match
  const [label, username = ''] = [labelOf(match[7] ?? ''), match[8]]
  const validUntil = parseTime(until)
  const parsed = parseRestriction(allow.split(','), repositories.split(','))
  if (!isMachinePasswordId(id) || nameProblem(username) !== undefined) return DAMAGED
  if (validUntil === undefined || label === undefined || parsed.kind === 'invalid') return DAMAGED
  return { kind: 'machine', id, username, digest, validUntil, binding, restriction: parsed.restriction, label }
}

function labelOf(quoted: string): string | undefined {
  try {
    const label: unknown = JSON.parse(quoted)
    return typeof label === 'string' && labelProblem(label) === undefined ? label : undefined
  } catch {
    return undefined
  }
}
