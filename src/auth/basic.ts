// Parses Basic credentials and formats the challenge for them.

import { isUtf8 } from 'node:buffer'
import { hasControlCharacter } from '../users/control-characters.ts'

export interface Credentials {
  readonly username: string
  readonly password: string
}

/** A `reason` may be logged, so it never repeats what the client sent. */
export type ParsedBasic =
  | ({ readonly kind: 'credentials' } & Credentials)
  | { readonly kind: 'absent' }
  | { readonly kind: 'malformed'; readonly reason: string }

/** RFC 7617. The base64 is strict, but may have no padding at all. */
export function parseBasic(header: string | undefined): ParsedBasic {
  if (header === undefined) return { kind: 'absent' }
  const [, scheme = '', token = ''] = /^([^ ]*) *(.*)$/s.exec(header) ?? []
  if (scheme.toLowerCase() !== 'basic') return malformed(`the scheme is ${knownScheme(scheme)}, not Basic`)
  const bytes = decodeBase64(token)
  return bytes ? splitCredentials(decodeText(bytes)) : malformed('the credentials are not base64')
}

/** podman without a login sends an empty name and an empty password. This counts as no credentials. */
export function checkCredentials({ username, password }: Credentials): ParsedBasic {
  if (username === '' && password === '') return { kind: 'absent' }
  if (hasControlCharacter(username + password))
    return malformed('the credentials contain a control character')
  if (username === '') return malformed('the username is empty')
  if (password === '') return malformed('the password is empty')
  return { kind: 'credentials', username, password }
}

/** Quotes the realm (RFC 9110 §11.6.1, §5.6.4). Throws a RangeError if it is empty or not printable ASCII. */
export function formatChallenge(realm: string): string {
  if (!/^[ -~]+$/.test(realm)) throw new RangeError('a realm must be printable ASCII, and not empty')
  return `Basic realm="${realm.replace(/["\\]/g, '\\$&')}"`
}

function splitCredentials(text: string): ParsedBasic {
  const colon = text.indexOf(':')
  if (colon < 0) return malformed('the credentials have no colon')
  return checkCredentials({ username: text.slice(0, colon), password: text.slice(colon + 1) })
}

function malformed(reason: string): ParsedBasic {
  return { kind: 'malformed', reason }
}

// Threat: a client that forgets the scheme sends its secret in that place.
function knownScheme(scheme: string): string {
  const known = ['Bearer', 'Digest', 'Negotiate', 'NTLM'].find(
    (name) => name.toLowerCase() === scheme.toLowerCase(),
  )
  return known ?? 'unknown'
}

// Buffer.from skips invalid characters. Encoding again shows whether it dropped any.
function decodeBase64(token: string): Buffer | undefined {
  const bytes = Buffer.from(token, 'base64')
  const canonical = bytes.toString('base64')
  return token === canonical || token === canonical.replace(/=+$/, '') ? bytes : undefined
}

// Older clients send Latin-1. A byte order mark stays, because without it two names would be one.
// RFC 7617 §2.1 leaves Unicode normalization to the client. A second form would cost a second bcrypt check.
function decodeText(bytes: Buffer): string {
  return bytes.toString(isUtf8(bytes) ? 'utf8' : 'latin1')
}
