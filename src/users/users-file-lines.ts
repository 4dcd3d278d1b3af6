// Edits the lines of a users file.

import { CommandError } from '../errors/errors.ts'
import {
  commentOf,
  encode,
  hasLineOf,
  isOf,
  lineEnding,
  tableOf,
  toLine,
  userUnknown,
  usualEnding,
  type EditContext,
  type Lines,
} from './file-lines.ts'
import { withoutLongExpired, withoutMachinePasswordsOf, withRebound } from './machine-passwords/machine-password-edits.ts'
import { bindingOf, formatKeptLine, MAX_KEPT, parseKeptLine, type ParsedKeptLine } from './old-password-line.ts'
import type { Entry } from './user-table.ts'

export interface NewEntry {
  readonly username: string
  readonly hash: string
}

export interface NewHash extends NewEntry {
  /** Milliseconds since 1970. If absent, no old password stays valid. */
  readonly keepOldUntil?: number | undefined
  readonly revokesTokens?: boolean | undefined
}

export function withAdded(lines: Lines, { username, hash }: NewEntry, { file }: EditContext): Lines {
  if (hasLineOf(lines, username)) throw userExists(file, username)
  const ending = usualEnding(lines)
  // If another tool removed a user, the old and machine passwords must not work for a new user of that name.
  const whole = withoutOwn(lines, username).map((line) => (line.endsWith('\n') ? line : line + ending))
  return [...whole, toLine(username, hash) + ending]
}

export function withChanged(lines: Lines, change: NewHash, context: EditContext): Lines {
  const { username, hash, revokesTokens = false } = change
  if (!hasLineOf(lines, username)) throw userUnknown(context.file, username)
  const entry = usableEntry(lines, username, context)
  const kept = keptLinesOf(entry, change, context)
  const rest = revokesTokens
    ? withoutOwn(lines, username)
    : withRebound(withoutKept(lines, username), username, { from: entry?.hash, to: hash })
  const index = rest.findIndex((line) => isOf(line, username))
  const ending = lineEnding(rest[index] ?? '')
  const replacing = [toLine(username, hash), ...kept].join(ending === '' ? usualEnding(rest) : ending)
  return rest.with(index, replacing + ending)
}

export function withoutUser(lines: Lines, username: string, context: EditContext): Lines {
  if (!hasLineOf(lines, username)) throw userUnknown(context.file, username)
  const left = withoutOwn(lines, username).filter((line) => !isOf(line, username))
  refuseUselessRemoval(lines, left, context)
  return left
}

export function withoutExpired(lines: Lines, now: number): Lines {
  return withoutLongExpired(lines, now).filter((line) => {
    const parsed = parseOurs(line)
    return parsed.kind !== 'kept' || now < parsed.validUntil
  })
}

function userExists(file: string, username: string): CommandError {
  return new CommandError(`${username} exists in ${file}; use \`user passwd\` to change the password`)
}

function keptLinesOf(
  entry: Entry | undefined,
  { username, hash, keepOldUntil }: NewHash,
  context: EditContext,
): readonly string[] {
  if (keepOldUntil === undefined) return []
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
function usableEntry(lines: Lines, username: string, context: EditContext): Entry | undefined {
  return tableOf(lines, context)?.entries.get(username)
}

// A sidecar keeps its users when no line is usable, so the removed user would still get in.
function refuseUselessRemoval(before: Lines, after: Lines, context: EditContext): void {
  if (tableOf(after, context) !== undefined || tableOf(before, context) === undefined) return
  throw new CommandError(
    `${context.file} would be left without a usable entry, and a running sidecar would keep the present ` +
      'users; first fix or remove the lines that `user list` reports',
  )
}

function withoutKept(lines: Lines, username: string): Lines {
  return lines.filter((line) => {
    const parsed = parseOurs(line)
    return parsed.kind !== 'kept' || parsed.username !== username
  })
}

function withoutOwn(lines: Lines, username: string): Lines {
  return withoutMachinePasswordsOf(withoutKept(lines, username), username)
}

function parseOurs(line: string): ParsedKeptLine {
  return parseKeptLine(commentOf(line))
}
