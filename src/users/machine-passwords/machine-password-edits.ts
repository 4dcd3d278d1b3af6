// Edits the lines of machine passwords.

import type { Restriction } from '../../access/restriction.ts'
import { CommandError } from '../../errors/errors.ts'
import {
  commentOf,
  encode,
  hasLineOf,
  lineEnding,
  tableOf,
  userUnknown,
  usualEnding,
  type EditContext,
  type Lines,
} from '../file-lines.ts'
import { formatMachineLine, parseMachineLine, type MachinePasswordLine } from './machine-password-line.ts'
import { bindingOf } from '../old-password-line.ts'
import type { MachinePassword } from '../user-table.ts'

export interface NewMachinePassword {
  readonly id: string
  readonly username: string
  readonly digest: string
  /** Milliseconds since 1970. */
  readonly validUntil: number
  readonly restriction: Restriction
  readonly label: string
}

/** More are probably made by a faulty script that never revokes one. */
export const MAX_PER_USER = 100

// The line of an expired machine password stays this long, so that the log says `expired` and not `wrong`.
const REMEMBERED_MS = 7 * 86_400_000

export function withMachinePassword(lines: Lines, added: NewMachinePassword, context: EditContext): Lines {
  const { username, id } = added
  const entry = tableOf(lines, context)?.entries.get(username)
  if (entry === undefined) throw noEntry(lines, username, context)
  if (machinePasswordsOf(lines, username, context).length >= MAX_PER_USER) {
    throw new CommandError(
      `${username} has ${MAX_PER_USER} machine passwords already, which is the limit; ` +
        'end one that is not needed with `user token revoke ID`',
    )
  }
  if (lines.some((line) => parse(line)?.id === id)) {
    throw new CommandError('the id of the new machine password is in use; run the command again')
  }
  const ending = usualEnding(lines)
  const line = encode(formatMachineLine({ ...added, binding: bindingOf(entry.hash) })) + ending
  const before = lines.slice(0, entry.line).map((one) => (one.endsWith('\n') ? one : one + ending))
  return [...before, line, ...lines.slice(entry.line)]
}

export function machinePasswordsOf(
  lines: Lines,
  username: string,
  context: EditContext,
): readonly MachinePassword[] {
  const all = tableOf(lines, context)?.machinePasswords.values() ?? []
  return [...all].filter((one) => one.username === username && context.now < one.validUntil)
}

export function withoutMachinePassword(lines: Lines, id: string, { file }: EditContext): Lines {
  // Threat: a copy of the line, with another id, would take effect when the first one is gone.
  const digests = new Set(lines.flatMap((line) => digestIf(line, (parsed) => parsed.id === id)))
  if (digests.size === 0) {
    throw new CommandError(`there is no machine password ${id} in ${file}; see \`user token list\``)
  }
  return lines.filter((line) => !digests.has(parse(line)?.digest ?? ''))
}

export function withoutMachinePasswordsOf(lines: Lines, username: string): Lines {
  return lines.filter((line) => parse(line)?.username !== username)
}

/** Removes lines that are not bound to the old hash. Another tool ended them, and they must not become valid again. */
export function withRebound(
  lines: Lines,
  username: string,
  { from, to }: { readonly from: string | undefined; readonly to: string },
): Lines {
  const [old, binding] = [from === undefined ? undefined : bindingOf(from), bindingOf(to)]
  return lines.flatMap((line) => {
    const parsed = parse(line)
    if (parsed?.username !== username) return [line]
    if (parsed.binding !== old) return []
    return [encode(formatMachineLine({ ...parsed, binding })) + lineEnding(line)]
  })
}

export function withoutLongExpired(lines: Lines, now: number): Lines {
  return lines.filter((line) => {
    const parsed = parse(line)
    return parsed === undefined || now < parsed.validUntil + REMEMBERED_MS
  })
}

function parse(line: string): MachinePasswordLine | undefined {
  const parsed = parseMachineLine(commentOf(line))
  return parsed.kind === 'machine' ? parsed : undefined
}

function digestIf(line: string, isWanted: (parsed: MachinePasswordLine) => boolean): readonly string[] {
  const parsed = parse(line)
  return parsed !== undefined && isWanted(parsed) ? [parsed.digest] : []
}

function noEntry(lines: Lines, username: string, { file }: EditContext): CommandError {
  return hasLineOf(lines, username)
    ? new CommandError(`the entry of ${username} in ${file} is unusable; see \`user list\``)
    : userUnknown(file, username)
}
