// Edits to the users file: one line changes, every other byte stays. The sidecar may read at any moment, and other
// runs may edit at the same one: hence the lock and the atomic replacement.

import { lstat, mkdir, readFile, readlink, realpath } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'

import { replaceFile } from '../atomic-file.ts'
import { withFileLock } from '../file-lock.ts'
import { CommandError, InvalidFileError, errorCode, errorMessage } from '../errors.ts'
import { parseHtpasswd, refuseBinary } from './htpasswd.ts'

export interface NewEntry {
  readonly username: string
  readonly hash: string
}

type Lines = readonly string[]

const MENDS: Readonly<Record<string, string>> = {
  EACCES:
    'permission denied; run this as the user the folder belongs to; ' +
    'in the container: docker compose exec -u "$(id -u):$(id -g)" …',
  EPERM: 'not permitted; run this as the user the folder belongs to, and see whether it is marked immutable',
  EROFS: 'it is mounted read-only; edit it where it comes from',
  ENOSPC: 'the disk is full; nothing was changed; make room and try again',
  EDQUOT: 'the disk quota is used up; nothing was changed; make room and try again',
  EFBIG: 'the file would be larger than allowed (ulimit -f); nothing was changed',
  EISDIR:
    'this is a folder, not a file; docker makes one where a file to be mounted is missing: ' +
    'remove it, and mount the folder that holds the users file',
  EBUSY: 'it is mounted as a single file, which cannot be replaced; mount the folder that holds it instead',
  ENOTDIR: 'a part of this path is a file, not a folder',
  ENOENT: 'there is no such file; `registry-sidecar user add NAME` makes it',
}

/** The users file's bytes, or undefined if there is none. Rejects with a CommandError that names the mend. */
export async function readUsersFile(file: string): Promise<Buffer | undefined> {
  try {
    return await readIfPresent(file)
  } catch (error) {
    throw explain(error, file)
  }
}

/** Whether any line is of this name, usable or not. Rejects as `readUsersFile` does, and for a binary file. */
export async function hasUser(file: string, username: string): Promise<boolean> {
  const bytes = await readUsersFile(file)
  return bytes !== undefined && splitLines(bytes, file).lines.some((line) => isOf(line, username))
}

/** Appends an entry; makes the file and its folder if absent. Rejects with a CommandError if the name exists. */
export async function addEntry(file: string, { username, hash }: NewEntry): Promise<void> {
  try {
    await mkdir(dirname(await followLinks(file)), { recursive: true })
  } catch (error) {
    throw explain(error, file)
  }
  await edit(file, (lines) => {
    if (lines.some((line) => isOf(line, username))) throw userExists(file, username)
    const ending = lines[0]?.endsWith('\r\n') ? '\r\n' : '\n'
    const whole = lines.map((line) => (line.endsWith('\n') ? line : line + ending))
    return [...whole, toLine(username, hash) + ending]
  })
}

/** Replaces the first line of this name, whatever kind its hash is. Rejects with a CommandError if there is none. */
export async function changeEntry(file: string, { username, hash }: NewEntry): Promise<void> {
  await edit(file, (lines) => {
    const index = lines.findIndex((line) => isOf(line, username))
    const old = lines[index]
    if (old === undefined) throw userUnknown(file, username)
    return lines.with(index, toLine(username, hash) + lineEnding(old))
  })
}

/** Removes every line of this name. Rejects with a CommandError if there is none. */
export async function removeEntry(file: string, username: string): Promise<void> {
  await edit(file, (lines) => {
    const kept = lines.filter((line) => !isOf(line, username))
    if (kept.length === lines.length) throw userUnknown(file, username)
    refuseUselessRemoval(lines, kept, file)
    return kept
  })
}

export function userExists(file: string, username: string): CommandError {
  return new CommandError(`${username} exists in ${file}; use \`user passwd\` to change the password`)
}

export function userUnknown(file: string, username: string): CommandError {
  return new CommandError(`there is no ${username} in ${file}; use \`user add\` to add one`)
}

async function edit(file: string, change: (lines: Lines) => Lines): Promise<void> {
  try {
    const target = await followLinks(file)
    await withFileLock(target, async (lock) => {
      const bytes = (await readIfPresent(target)) ?? Buffer.alloc(0)
      const { mark, lines } = splitLines(bytes, file)
      await replaceFile(target, joinLines(mark, change(lines)), { beforeRename: () => lock.assertHeld() })
    })
  } catch (error) {
    throw explain(error, file)
  }
}

// Lines are handled as Latin-1, which maps bytes to characters one to one: what is not UTF-8 survives too.
function splitLines(bytes: Buffer, file: string): { readonly mark: string; readonly lines: Lines } {
  refuseBinary(bytes, file)
  const text = bytes.toString('latin1')
  const mark = text.startsWith('\xef\xbb\xbf') ? text.slice(0, 3) : ''
  return { mark, lines: text.slice(mark.length).match(/[^\n]*\n|[^\n]+$/g) ?? [] }
}

function joinLines(mark: string, lines: Lines): Buffer {
  return Buffer.from(mark + lines.join(''), 'latin1')
}

function isOf(line: string, username: string): boolean {
  return line.startsWith(toLine(username, ''))
}

function toLine(username: string, hash: string): string {
  return Buffer.from(`${username}:${hash}`).toString('latin1')
}

function lineEnding(line: string): string {
  return /\r?\n$/.exec(line)?.[0] ?? ''
}

// A sidecar keeps the users it has when a file holds lines but no usable one: the removed user would still get in.
function refuseUselessRemoval(before: Lines, after: Lines, file: string): void {
  if (hasUsableEntry(after, file) || !hasUsableEntry(before, file)) return
  throw new CommandError(
    `${file} would be left without a usable entry, and a running sidecar would go on with the present users; ` +
      'mend or remove the lines that `user list` complains of first',
  )
}

function hasUsableEntry(lines: Lines, file: string): boolean {
  try {
    parseHtpasswd(joinLines('', lines), file)
    return true
  } catch {
    return false
  }
}

/** The file a chain of symlinks leads to, so that the links stay; it need not exist. */
async function followLinks(file: string): Promise<string> {
  try {
    return await realpath(file)
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw error
  }
  if (!(await isLink(file))) return resolve(file)
  // A link counts from the folder it really is in.
  return followLinks(resolve(await realpath(dirname(file)), await readlink(file)))
}

async function isLink(file: string): Promise<boolean> {
  try {
    return (await lstat(file)).isSymbolicLink()
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return false
    throw error
  }
}

async function readIfPresent(file: string): Promise<Buffer | undefined> {
  try {
    return await readFile(file)
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined
    throw error
  }
}

function explain(error: unknown, file: string): Error {
  if (error instanceof CommandError || error instanceof InvalidFileError) return error
  const mend = MENDS[errorCode(error) ?? ''] ?? errorMessage(error)
  return new CommandError(`${file}: ${mend}`, { cause: error })
}
