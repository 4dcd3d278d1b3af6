// Parses one line of an htpasswd file.

import { hasControlCharacter } from './control-characters.ts'
import { isMachinePassword } from './machine-passwords/machine-secret.ts'

/** Anyone who reaches the admin address may read these, so they never repeat the line. */
export type ProblemKind =
  | 'NUL bytes'
  | 'not UTF-8'
  | 'no colon'
  | 'invalid name'
  | 'unusable hash'
  | 'duplicate name'
  | 'unusable old password'
  | 'unusable machine password'

/** A `reason` never contains a hash or text that could be a password. */
export type HtpasswdLine =
  | { readonly kind: 'nothing' }
  | { readonly kind: 'entry'; readonly username: string; readonly hash: string; readonly cost: number }
  | { readonly kind: 'problem'; readonly problem: ProblemKind; readonly reason: string }

export const MIN_COST = 4
// A check takes 71 ms at cost 10 and doubles with each step, so cost 15 takes over two seconds.
export const MAX_COST = 15
export const DEFAULT_COST = 10

/** After its cost, a bcrypt string has 22 characters of salt and 31 of digest. */
export const SALT_AND_DIGEST_LENGTH = 53
export const BCRYPT_ALPHABET = './ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789'

const MAX_NAME_BYTES = 255

const FOREIGN_KINDS: readonly (readonly [prefix: string, kind: string])[] = [
  ['$apr1$', 'Apache MD5 ($apr1$)'],
  ['$1$', 'MD5 ($1$)'],
  ['$5$', 'SHA-256 ($5$)'],
  ['$6$', 'SHA-512 ($6$)'],
  ['$7$', 'scrypt ($7$)'],
  ['$y$', 'yescrypt ($y$)'],
  ['$argon2', 'Argon2'],
  ['$2x$', 'a broken old variant of bcrypt ($2x$)'],
  ['$2$', 'a broken old variant of bcrypt ($2$)'],
  ['{SHA}', 'SHA-1 ({SHA})'],
  ['{SSHA}', 'salted SHA-1 ({SSHA})'],
]

const DOUBLED = 'a bcrypt hash whose $ are doubled ($$), as compose files have them'

/** Reads one line without its line feed. Text after a second colon is ignored, as Apache does. */
export function parseLine(text: string): HtpasswdLine {
  // Threat: a crash can fill a file with NUL bytes. Read as a file of comments, it would lock everyone out.
  if (text.includes('\0')) return problem('NUL bytes', 'the line holds NUL bytes; remove it')
  const line = text.trimEnd()
  if (line === '' || line.trimStart().startsWith('#')) return { kind: 'nothing' }
  const [username = '', secret] = line.split(':', 2)
  if (secret === undefined) return problem('no colon', 'no colon; an entry is NAME:HASH')
  const badName = nameProblem(username)
  return badName === undefined ? parseSecret(username, secret.trim()) : problem('invalid name', badName)
}

export type ParsedHash =
  | { readonly kind: 'hash'; readonly hash: string; readonly cost: number }
  | { readonly kind: 'unusable'; readonly found: string }

export function parseHash(text: string): ParsedHash {
  if (!/^\$2[aby]\$/.test(text)) return { kind: 'unusable', found: foreignKind(text) }
  const digits = /^\$2[aby]\$(\d\d)\$/.exec(text)?.[1]
  if (digits === undefined) return { kind: 'unusable', found: 'a bcrypt hash whose cost is not two digits' }
  const cost = Number(digits)
  const found = costProblem(cost) ?? digestProblem(text.slice('$2b$10$'.length))
  return found === undefined ? { kind: 'hash', hash: text, cost } : { kind: 'unusable', found }
}

/** The reason never repeats the name. */
export function nameProblem(name: string): string | undefined {
  if (name === '') return 'the name is empty'
  if (hasControlCharacter(name)) return 'the name holds a control character'
  // The fields were swapped. Other reasons repeat the name, and must not repeat a hash.
  if (/^(?:\$+\w+\$|\{\w+\})/.test(name)) return 'the name looks like a hash; an entry is NAME:HASH'
  if (isMachinePassword(name)) return 'the name looks like a machine password'
  if (name.includes(':')) return 'the name holds a colon'
  if (name.startsWith('#')) return 'the name begins with #, which marks a comment'
  if (name.trim() !== name) return 'the name begins or ends with a blank'
  if (Buffer.byteLength(name) > MAX_NAME_BYTES) return `the name is longer than ${MAX_NAME_BYTES} bytes`
  return undefined
}

function parseSecret(username: string, secret: string): HtpasswdLine {
  const parsed = parseHash(secret)
  return parsed.kind === 'hash' ? { ...parsed, kind: 'entry', username } : unusable(username, parsed.found)
}

function costProblem(cost: number): string | undefined {
  if (cost < MIN_COST) return `a bcrypt hash of cost ${cost}, below ${MIN_COST}`
  if (cost > MAX_COST) return `a bcrypt hash of cost ${cost}, over ${MAX_COST}: one login would take seconds or minutes`
  return undefined
}

function digestProblem(rest: string): string | undefined {
  if (rest.length !== SALT_AND_DIGEST_LENGTH) {
    return `a bcrypt hash with ${rest.length} characters after its cost instead of ${SALT_AND_DIGEST_LENGTH}`
  }
  return /^[./A-Za-z0-9]+$/.test(rest) ? undefined : 'a bcrypt hash with characters that no hash has'
}

function foreignKind(secret: string): string {
  if (secret === '') return 'no hash at all'
  const single = secret.replaceAll('$$', '$')
  if (single !== secret && parseHash(single).kind === 'hash') return DOUBLED
  const known = FOREIGN_KINDS.find(([prefix]) => single.startsWith(prefix))
  if (known) return known[1]
  return /^[./A-Za-z0-9]{13}$/.test(secret)
    ? 'crypt, or plain text'
    : 'plain text, or an unknown kind of hash'
}

function unusable(username: string, found: string): HtpasswdLine {
  // Threat: people paste this command into a shell, so it contains no name with special characters.
  const isSafe = !found.includes('plain text') && /^[\w.@+][\w.@+-]*$/.test(username)
  const word = isSafe ? username : 'NAME'
  const hint =
    found === DOUBLED
      ? 'write each $ once'
      : `set a new password with \`registry-sidecar user passwd ${word}\` or \`htpasswd -B\``
  // With plain text, the password may be on either side of the colon.
  const who = found.includes('plain text') ? 'this line' : username
  return problem('unusable hash', `${who} has ${found}, which is not taken; ${hint}`)
}

function problem(kind: ProblemKind, reason: string): HtpasswdLine {
  return { kind: 'problem', problem: kind, reason }
}
