// Edits the lines of a users file.

import { CommandError, InvalidFileError } from '../errors/errors.ts'
import { parseHtpasswd, type Entry } from './htpasswd.ts'
import { bindingOf, formatKeptLine, MAX_KEPT, parseKeptLine, type ParsedKeptLine } from './old-password-line.ts'
import { isUtf16 } from './text-lines.ts'

/** Latin-1 text with line feeds. Latin-1 maps each byte to one character, so bytes that are not UTF-8 survive. */
export type Lines = readonly string[]

export interface FileLines {
  /** A byte order mark, or nothing. */
  readonly mark: string
  readonly lines: Lines
}

export interface NewEntry {
  readonly username: string
  readonly hash: string
}

export interface NewHash extends NewEntry {
  /** Milliseconds since 1970. If absent, no old password stays valid. */
  readonly keepOldUntil?: number | undefined
}

export interface EditContext {
  readonly file: string
  /** Milliseconds since 1970. */
  readonly now: number
}

/** Throws InvalidFileError for UTF-16 text and for binary files. */
export function splitLines(bytes: Buffer, file: string): FileLines {
  // Threat: a mistyped setting names a database, and `user add` appends a line to it.
  if (isUtf16(bytes) || bytes.includes(0)) parseHtpasswd(bytes, file)
  const text = bytes.toString('latin1')
  const mark = text.startsWith('\xef\xbb\xbf') ? text.slice(0, 3) : ''
  return { mark, lines: text.slice(mark.length).match(/[^\n]*\n|[^\n]+$/g) ?? [] }
}

export function joinLines({ mark, lines }: FileLines): Buffer {
  return Buffer.from(mark + lines.join(''), 'latin1')
}

export function withAdded(lines: Lines, { username, hash }: NewEntry, { file }: EditContext): Lines {
  if (hasLineOf(lines, username)) throw userExists(file, username)
  const ending = usualEnding(lines)
  // If another tool removed a user, the old passwords must not work for a new user of that name.
  const whole = withoutKept(lines, username).map((line) => (line.endsWith('\n') ? line : line + ending))
  return [...whole, toLine(username, hash) + ending]
}

export function withChanged(lines: Lines, change: NewHash, context: EditContext): Lines {
  const { username, hash } = change
  if (!hasLineOf(lines, username)) throw userUnknown(context.file, username)
  const kept = keptLinesOf(lines, change, context)
  const rest = withoutKept(lines, username)
  const index = rest.findIndex((line) => isOf(line, username))
  // Preserve a missing line feed at the end of the file.
  const ending = lineEnding(rest[index] ?? '')
  const replacing = [toLine(username, hash), ...kept].join(ending === '' ? usualEnding(rest) : ending)
  return rest.with(index, replacing + ending)
}

export function withoutUser(lines: Lines, username: string, context: EditContext): Lines {
  if (!hasLineOf(lines, username)) throw userUnknown(context.file, username)
  const left = withoutKept(lines, username).filter((line) => !isOf(line, username))
  refuseUselessRemoval(lines, left, context)
  return left
}

export function withoutExpired(lines: Lines, now: number): Lines {
  return lines.filter((line) => {
    const parsed = parseOurs(line)
    return parsed.kind !== 'kept' || now < parsed.validUntil
  })
}

function userExists(file: string, username: string): CommandError {
  return new CommandError(`${username} exists in ${file}; use \`user passwd\` to change the password`)
}

function userUnknown(file: string, username: string): CommandError {
  return new CommandError(`there is no ${username} in ${file}; use \`user add\` to add one`)
}

function keptLinesOf(
  lines: Lines,
  { username, hash, keepOldUntil }: NewHash,
  context: EditContext,
): readonly string[] {
  if (keepOldUntil === undefined) return []
  const entry = usableEntry(lines, username, context)
  if (entry === undefined) {
    throw new CommandError(
      `${username} has no usable password in ${context.file} that could stay valid; leave out --keep-old`,
    )
  }
  const kept = [{ hash: entry.hash, validUntil: keepOldUntil }, ...entry.previous]
  if (kept.length > MAX_KEPT) {
    const end = Math.min(...entry.previous.map(({ validUntil }) => validUntil))
    throw new CommandError(
      `${username} has ${MAX_KEPT} old passwords already that are valid beside the present one, which is the limit; ` +
        `leave out --keep-old, which ends them all, or wait until ${new Date(end).toISOString()}`,
    )
  }
  const binding = bindingOf(hash)
  return kept.map((old) => encode(formatKeptLine({ ...old, username, binding })))
}

// The first line of this name may be unusable, and a later line may count.
function usableEntry(lines: Lines, username: string, { file, now }: EditContext): Entry | undefined {
  try {
    return parseHtpasswd(joinLines({ mark: '', lines }), file, now).entries.get(username)
  } catch (error) {
    if (error instanceof InvalidFileError) return undefined
    throw error
  }
}

// A sidecar keeps its users when no line is usable, so the removed user would still get in.
function refuseUselessRemoval(before: Lines, after: Lines, context: EditContext): void {
  if (isReadable(after, context) || !isReadable(before, context)) return
  throw new CommandError(
    `${context.file} would be left without a usable entry, and a running sidecar would keep the present ` +
      'users; first fix or remove the lines that `user list` reports',
  )
}

function isReadable(lines: Lines, { file, now }: EditContext): boolean {
  try {
    parseHtpasswd(joinLines({ mark: '', lines }), file, now)
    return true
  } catch {
    return false
  }
}

function withoutKept(lines: Lines, username: string): Lines {
  return lines.filter((line) => {
    const parsed = parseOurs(line)
    return parsed.kind !== 'kept' || parsed.username !== username
  })
}

function parseOurs(line: string): ParsedKeptLine {
  return line.startsWith('#') ? parseKeptLine(Buffer.from(line, 'latin1').toString()) : { kind: 'other' }
}

function hasLineOf(lines: Lines, username: string): boolean {
  return lines.some((line) => isOf(line, username))
}

function isOf(line: string, username: string): boolean {
  return line.startsWith(toLine(username, ''))
}

function toLine(username: string, hash: string): string {
  return encode(`${username}:${hash}`)
}

function usualEnding(lines: Lines): string {
  return lines[0]?.endsWith('\r\n') ? '\r\n' : '\n'
}

function lineEnding(line: string): string {
  return /\r?\n$/.exec(line)?.[0] ?? ''
}

function encode(text: string): string {
  return Buffer.from(text).toString('latin1')
}
