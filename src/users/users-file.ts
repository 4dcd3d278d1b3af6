// Edits the users file.
// Other processes may read or edit it at any moment, so edits take a lock and replace the file atomically.

import { access, constants, lstat, mkdir, readlink, realpath, stat } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'

import { replaceFile } from '../files/atomic-file.ts'
import { withFileLock } from '../files/file-lock.ts'
import { CommandError, InvalidFileError, errorCode, errorMessage } from '../errors/errors.ts'
import { ifPresent, readIfPresent } from '../files/regular-file.ts'
import { joinLines, splitLines, type EditContext, type Lines } from './file-lines.ts'
import { machinePasswordsOf, withMachinePassword, withoutMachinePassword, type NewMachinePassword } from './machine-passwords/machine-password-edits.ts'
import {
  withAdded,
  withChanged,
  withoutExpired,
  withoutUser,
  type NewEntry,
  type NewHash,
} from './users-file-lines.ts'

const HINTS: Readonly<Record<string, string>> = {
  EACCES:
    'permission denied; run this as the user the folder belongs to; ' +
    'in the container: docker compose exec -u "$(id -u):$(id -g)" …',
  EPERM: 'not permitted; run this as the user the folder belongs to, and check whether it is marked immutable',
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

/** Rejects with a CommandError that contains the fix. */
export async function readUsersFile(file: string): Promise<Buffer | undefined> {
  try {
    return await readIfPresent(file)
  } catch (error) {
    throw explain(error, file)
  }
}

export async function addEntry(file: string, entry: NewEntry, now: number): Promise<void> {
  try {
    await mkdir(dirname(await followLinks(file)), { recursive: true })
  } catch (error) {
    throw explain(error, file)
  }
  await edit({ file, now }, (lines) => withAdded(lines, entry, { file, now }))
}

/** Resolves to the number of machine passwords that stay valid. */
export async function changeEntry(file: string, change: NewHash, now: number): Promise<number> {
  let kept = 0
  await edit({ file, now }, (lines) => {
    const changed = withChanged(lines, change, { file, now })
    kept = machinePasswordsOf(changed, change.username, { file, now }).length
    return changed
  })
  return kept
}

export async function removeEntry(file: string, username: string, now: number): Promise<void> {
  await edit({ file, now }, (lines) => withoutUser(lines, username, { file, now }))
}

export async function addMachinePassword(
  file: string,
  added: NewMachinePassword,
  now: number,
): Promise<void> {
  await edit({ file, now }, (lines) => withMachinePassword(lines, added, { file, now }))
}

export async function removeMachinePassword(file: string, id: string, now: number): Promise<void> {
  await edit({ file, now }, (lines) => withoutMachinePassword(lines, id, { file, now }))
}

/** Rejects if `addEntry` would, before a person types a password. */
export async function assertAddable(file: string, username: string, now: number): Promise<void> {
  await rehearse(file, (lines) => withAdded(lines, { username, hash: '' }, { file, now }))
}

export async function assertChangeable(
  file: string,
  change: Omit<NewHash, 'hash'>,
  now: number,
): Promise<void> {
  await rehearse(file, (lines) => withChanged(lines, { ...change, hash: '' }, { file, now }))
}

async function rehearse(file: string, change: (lines: Lines) => Lines): Promise<void> {
  try {
    const target = await followLinks(file)
    await refuseReadOnly(target)
    const bytes = (await readIfPresent(target)) ?? Buffer.alloc(0)
    change(splitLines(bytes, file).lines)
  } catch (error) {
    throw explain(error, file)
  }
}

async function edit({ file, now }: EditContext, change: (lines: Lines) => Lines): Promise<void> {
  try {
    const target = await followLinks(file)
    await refuseReadOnly(target)
    await withFileLock(target, async (lock) => {
      const bytes = (await readIfPresent(target)) ?? Buffer.alloc(0)
      const { mark, lines } = splitLines(bytes, file)
      const content = joinLines({ mark, lines: withoutExpired(change(lines), now) })
      await replaceFile(target, content, { beforeRename: () => lock.assertHeld() })
    })
  } catch (error) {
    throw explain(error, file)
  }
}

// A rename needs write access only to the folder, but a read-only file is meant to stay.
async function refuseReadOnly(target: string): Promise<void> {
  if (!(await isReadOnly(target))) return
  throw new CommandError(`${target} is read-only; if it is to be edited: chmod u+w ${target}`)
}

async function isReadOnly(target: string): Promise<boolean> {
  try {
    if (((await stat(target)).mode & 0o222) !== 0) return false
    await access(target, constants.W_OK)
    return false
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return false
    if (errorCode(error) === 'EACCES') return true
    throw error
  }
}

/** Follows a chain of symlinks, so that the links stay. The file need not exist. */
async function followLinks(file: string): Promise<string> {
  try {
    return await realpath(file)
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw error
  }
  if (!(await isLink(file))) return resolve(file)
  return followLinks(resolve(await realpath(dirname(file)), await readlink(file)))
}

async function isLink(file: string): Promise<boolean> {
  return (await ifPresent(lstat(file)))?.isSymbolicLink() ?? false
}

function explain(error: unknown, file: string): Error {
  if (error instanceof CommandError || error instanceof InvalidFileError) return error
  const hint = HINTS[errorCode(error) ?? ''] ?? errorMessage(error)
  return new CommandError(`${file}: ${hint}`, { cause: error })
}
