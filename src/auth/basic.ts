// Parses Basic credentials and formats the challenge for them.

import { isUtf8 } from 'node:buffer'
import { hasControlCharacter } from '../users/control-characters.ts'

export interface Credentials {
  readonly username: string
  readonly password: string
}

/** The content of an Authorization header. A `reason` may be logged: it never repeats what the client sent. */
export type ParsedBasic =
  | ({ readonly kind: 'credentials' } & Credentials)
  | { readonly kind: 'absent' }
  | { readonly kind: 'malformed'; readonly reason: string }

/**
 * Parses an Authorization header as Basic credentials (RFC 7617). The scheme is case-insensitive. The base64 must be
 * strict, but may have no padding at all. The first colon ends the username. Bytes that are not UTF-8 are read as
 * Latin-1, because older clients send that.
 */
export function parseBasic(header: string | undefined): ParsedBasic {
  if (header === undefined) return { kind: 'absent' }
  const [, scheme = '', token = ''] = /^([^ ]*) *(.*)$/s.exec(header) ?? []
  if (scheme.toLowerCase() !== 'basic') return malformed(`the scheme is ${knownScheme(scheme)}, not Basic`)
  const bytes = decodeBase64(token)
  return bytes ? splitCredentials(decodeText(bytes)) : malformed('the credentials are not base64')
}

/**
 * The value of WWW-Authenticate for `realm`, as a quoted string (RFC 9110 §11.6.1 and §5.6.4).
 * Throws a RangeError for a realm that is empty or has characters other than printable ASCII.
 */
export function formatChallenge(realm: string): string {
  if (!/^[ -~]+$/.test(realm)) throw new RangeError('a realm is printable ASCII, and not empty')
  return `Basic realm="${realm.replace(/["\\]/g, '\\$&')}"`
}

function splitCredentials(text: string): ParsedBasic {
  if (hasControlCharacter(text)) return malformed('the credentials hold a control character')
  const colon = text.indexOf(':')
  if (colon < 0) return malformed('the credentials have no colon')
  if (colon === 0) return malformed('the username is empty')
  if (colon === text.length - 1) return malformed('the password is empty')
  return { kind: 'credentials', username: text.slice(0, colon), password: text.slice(colon + 1) }
}

function malformed(reason: string): ParsedBasic {
  return { kind: 'malformed', reason }
}

// Threat: a client that forgets the scheme sends its secret in that place. So only known names are repeated.
function knownScheme(scheme: string): string {
  const known = ['Bearer', 'Digest', 'Negotiate', 'NTLM'].find(
    (name) => name.toLowerCase() === scheme.toLowerCase(),
  )
  return known ?? 'unknown'
}

// Buffer.from skips characters that are not base64. Encoding again shows whether characters or bits were dropped.
function decodeBase64(token: string): Buffer | undefined {
  const bytes = Buffer.from(token, 'base64')
  const canonical = bytes.toString('base64')
  return token === canonical || token === canonical.replace(/=+$/, '') ? bytes : undefined
}

// The text is not changed. A byte order mark stays, because without it two names would be one. "é" as one code point
// (NFC) and as two (NFD) stay different: RFC 7617 §2.1 leaves normalization to the client, tools that write htpasswd
// files hash the bytes they get, and a second form would cost a second bcrypt check.
function decodeText(bytes: Buffer): string {
  return bytes.toString(isUtf8(bytes) ? 'utf8' : 'latin1')
}
