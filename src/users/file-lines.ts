// Splits a users file into lines, and finds those of a name.

import { CommandError, InvalidFileError } from '../errors/errors.ts'
import { parseHtpasswd } from './htpasswd.ts'
import { isUtf16 } from './text-lines.ts'
import type { UserTable } from './user-table.ts'

/** Latin-1 text with line feeds, because Latin-1 preserves bytes that are not UTF-8. */
export type Lines = readonly string[]

export interface FileLines {
  readonly mark: string
  readonly lines: Lines
}

export interface EditContext {
  readonly file: string
  /** Milliseconds since 1970. */
  readonly now: number
}

/** Throws InvalidFileError for UTF-16 text and binary files, which are those with NUL bytes and no usable line. */
export function splitLines(bytes: Buffer, file: string): FileLines {
  // Threat: a mistyped setting names another file, perhaps a database, and `user add` appends a line to it.
  if (isUtf16(bytes) || bytes.includes(0)) parseHtpasswd(bytes, file)
  const text = bytes.toString('latin1')
  const mark = text.startsWith('\xef\xbb\xbf') ? text.slice(0, 3) : ''
  return { mark, lines: text.slice(mark.length).match(/[^\n]*\n|[^\n]+$/g) ?? [] }
}

export function joinLines({ mark, lines }: FileLines): Buffer {
  return Buffer.from(mark + lines.join(''), 'latin1')
}

/** Undefined if no line is usable. */
export function tableOf(lines: Lines, { file, now }: EditContext): UserTable | undefined {
  try {
    return parseHtpasswd(joinLines({ mark: '', lines }), file, now)
  } catch (error) {
    if (error instanceof InvalidFileError) return undefined
    throw error
  }
}

export function userUnknown(file: string, username: string): CommandError {
  return new CommandError(`there is no ${username} in ${file}; use \`user add\` to add one`)
}

export function hasLineOf(lines: Lines, username: string): boolean {
  return lines.some((line) => isOf(line, username))
}

export function isOf(line: string, username: string): boolean {
  return line.startsWith(toLine(username, ''))
}

export function toLine(username: string, hash: string): string {
  return encode(`${username}:${hash}`)
}

export function usualEnding(lines: Lines): string {
  return lines[0]?.endsWith('\r\n') ? '\r\n' : '\n'
}

export function lineEnding(line: string): string {
  return /\r?\n$/.exec(line)?.[0] ?? ''
}

export function encode(text: string): string {
  return Buffer.from(text).toString('latin1')
}

export function commentOf(line: string): string {
  return line.startsWith('#') ? Buffer.from(line, 'latin1').toString() : ''
}
