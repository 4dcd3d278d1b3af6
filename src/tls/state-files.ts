// The files of the state folder: read, written and guarded, with the mend in every refusal.

import { chmod, readFile, stat } from 'node:fs/promises'
import { platform } from 'node:os'
import { dirname } from 'node:path'
import { replaceFile } from '../atomic-file.ts'
import { errorCode, errorMessage, InvalidFileError } from '../errors.ts'
import type { Log } from '../log.ts'

/** The text of a file, or undefined when there is none. Throws `InvalidFileError`. */
export async function readIfPresent(file: string): Promise<string | undefined> {
  return readFile(file, 'utf8').catch((error: unknown) => {
    return errorCode(error) === 'ENOENT' ? undefined : refuse(file, 'read')(error)
  })
}

/** Puts a file in place whole, with this mode before it has its name. Throws `InvalidFileError`. */
export async function write(file: string, text: string, mode: number): Promise<void> {
  await replaceFile(file, text, { mode }).catch(refuse(dirname(file), 'written'))
}

/** Takes a key away from the eyes of others, and says so. */
export async function tighten(keyFile: string, log: Log | undefined): Promise<void> {
  if (platform() === 'win32') return
  const mode = await stat(keyFile).then(
    (stats) => stats.mode & 0o777,
    () => 0,
  )
  if ((mode & 0o077) === 0) return
  const found = { file: keyFile, mode: mode.toString(8).padStart(4, '0') }
  await chmod(keyFile, 0o600).then(
    () => log?.warn(found, 'others could read this private key: its mode is 0600 now'),
    (cause: unknown) =>
      log?.warn({ ...found, reason: errorMessage(cause) }, 'others can read this private key'),
  )
}

/** What turns a system error about `file` into an `InvalidFileError` with the mend. */
export function refuse(file: string, access: 'read' | 'written'): (error: unknown) => never {
  const denied = `may not be ${access} by this user: let it belong to the user that runs the sidecar`
  const mends: Readonly<Record<string, string>> = {
    EACCES: denied,
    EPERM: denied,
    EROFS: 'lies on a read-only file system: mount the state folder so that it can be written',
    ENOSPC: 'lies on a full disk: make room there',
    EEXIST: 'is a file where the state folder should be: move it away, or choose another folder',
    ENOTDIR: 'lies under a file where a folder should be: move that away, or choose another folder',
    EISDIR: 'is a folder where a file should be: move it away',
  }
  return (error) => {
    if (error instanceof InvalidFileError) throw error
    throw new InvalidFileError(file, mends[errorCode(error) ?? ''] ?? errorMessage(error), { cause: error })
  }
}
