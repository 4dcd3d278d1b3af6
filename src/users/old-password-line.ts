// Reads and writes the htpasswd line of an old, valid password.
//   #registry-sidecar keep-old v1 until 2026-01-31T12:00:00.000Z beside 0123456789abcdef $2y$10$… alice
// `beside` is a digest of the new hash, so a change by another tool ends old passwords. The name may contain blanks.

import { createHash } from 'node:crypto'

import { nameProblem } from './htpasswd-line.ts'

export interface KeptLine {
  readonly kind: 'kept'
  readonly username: string
  readonly hash: string
  /** Milliseconds since 1970. */
  readonly validUntil: number
  readonly binding: string
}

export type ParsedKeptLine =
  KeptLine | { readonly kind: 'malformed'; readonly reason: string } | { readonly kind: 'other' }

/** Each old password of one user can add one bcrypt to every refusal; see dummy-hashes.ts. */
export const MAX_KEPT = 4

const PREFIX = '#registry-sidecar keep-old'
const VERSION = 'v1'
const OTHER = { kind: 'other' } as const

/** A reason never contains a hash. */
export function parseKeptLine(text: string): ParsedKeptLine {
  if (!text.startsWith(PREFIX)) return OTHER
  const rest = text.slice(PREFIX.length).trimEnd()
  if (rest !== '' && !/^\s/.test(rest)) return OTHER
  const [, version = '', body = ''] = /^ (\S+) (.*)$/.exec(rest) ?? []
  if (/^v\d+$/.test(version) && version !== VERSION) {
    return malformed(
      `this line keeps an old password in format ${version.slice(0, 9)}, which only a newer version reads`,
    )
  }
  const [, until = '', binding = '', hash = '', username = ''] =
    /^until (\S+) beside ([0-9a-f]{16}) (\S+) (.+)$/.exec(body) ?? []
  const validUntil = parseTime(until)
  if (version !== VERSION || validUntil === undefined || nameProblem(username) !== undefined) {
    return malformed('this line should keep an old password, but it is damaged; remove it')
  }
  return { kind: 'kept', username, hash, validUntil, binding }
}

export function formatKeptLine({ username, hash, validUntil, binding }: Omit<KeptLine, 'kind'>): string {
  return `${PREFIX} ${VERSION} until ${new Date(validUntil).toISOString()} beside ${binding} ${hash} ${username}`
}

export function bindingOf(hash: string): string {
  return createHash('sha256').update(hash).digest('hex').slice(0, 16)
}

function malformed(reason: string): ParsedKeptLine {
  return { kind: 'malformed', reason }
}

/** Accepts ISO 8601 in UTC. Returns milliseconds since 1970, or undefined. */
export function parseTime(text: string): number | undefined {
  if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,3})?Z$/.test(text)) return undefined
  const time = Date.parse(text)
  return Number.isNaN(time) ? undefined : time
}
