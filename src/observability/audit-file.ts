// Opens the audit file, and opens it again for logrotate.
// Follows symbolic links, because log folders are often links.

import { constants, type Stats } from 'node:fs'
import { open, type FileHandle } from 'node:fs/promises'
import { errorCode, errorMessage, InvalidFileError } from '../errors/errors.ts'
import type { LineTarget } from './line-queue.ts'

export interface AuditFile extends LineTarget {
  /** Opens the file again before the next write. */
  reopen(): void
}

interface Opened {
  readonly handle: FileHandle
  readonly stats: Stats
}

/** Rejects with InvalidFileError. Calls `onTrouble` with the reason if `reopen` cannot open the file later. */
export async function openAuditFile(file: string, onTrouble: (reason: string) => void): Promise<AuditFile> {
  let current = await openToAppend(file)
  let isReopenRequested = false
  let failure: string | undefined

  async function prepare(): Promise<'same' | 'replaced'> {
    const wasDeleted = await isDeleted(current)
    if (!isReopenRequested && !wasDeleted && failure === undefined) return 'same'
    const wasRequested = isReopenRequested
    // Cleared before the file is opened, because another signal may arrive meanwhile.
    isReopenRequested = false
    let next: Opened
    try {
      next = await openToAppend(file)
    } catch (error) {
      // Lines in a deleted file would be lost. If the file still exists, lines go to the open file.
      if (wasDeleted) throw error
      if (wasRequested) onTrouble(errorMessage(error))
      return 'same'
    }
    const isSame = isSameFile(current, next) && failure !== 'EPIPE'
    await current.handle.close().catch(() => undefined)
    current = next
    failure = undefined
    return isSame ? 'same' : 'replaced'
  }

  return {
    prepare,
    async write(bytes) {
      try {
        return (await current.handle.write(bytes)).bytesWritten
      } catch (error) {
        if (errorCode(error) === 'EAGAIN') return 0
        failure = errorCode(error) ?? 'unknown'
        throw error
      }
    },
    reopen() {
      isReopenRequested = true
    },
    close: () => current.handle.close(),
  }
}

// O_NONBLOCK: a named pipe must not delay the start. A full pipe must not block a thread that reads files.
const APPEND = constants.O_APPEND | constants.O_CREAT | constants.O_NONBLOCK

async function openToAppend(file: string): Promise<Opened> {
  const handle = await openHandle(file).catch((error: unknown) => {
    const reason = FIXES[errorCode(error) ?? ''] ?? `cannot be opened for writing: ${errorMessage(error)}`
    throw new InvalidFileError(file, reason, { cause: error })
  })
  return { handle, stats: await handle.stat() }
}

// Threat: other users of this machine read the names of users and repositories. So the mode is 0600.
async function openHandle(file: string): Promise<FileHandle> {
  try {
    return await open(file, APPEND | constants.O_WRONLY, 0o600)
  } catch (error) {
    // ENXIO: the named pipe has no reader. O_RDWR opens a read end too, which keeps the lines until a reader comes.
    if (errorCode(error) !== 'ENXIO') throw error
    return open(file, APPEND | constants.O_RDWR, 0o600)
  }
}

const FIXES: Readonly<Record<string, string>> = {
  ENOENT: 'its folder does not exist: create it, or set SIDECAR_AUDIT to another file',
  ENOTDIR: 'its folder is a file: set SIDECAR_AUDIT to another file',
  EISDIR: 'is a folder: set SIDECAR_AUDIT to a file in it',
  EACCES: 'this user has no permission to write it: change the owner of the file or of its folder',
  EPERM: 'this user has no permission to write it: change the owner of the file or of its folder',
  EROFS: 'its file system is read-only: set SIDECAR_AUDIT to a file in a volume',
  ENXIO: 'is a socket: set SIDECAR_AUDIT to a file, a named pipe or stdout',
}

// An error, such as ESTALE of a network file system, counts as deleted too.
function isDeleted({ handle }: Opened): Promise<boolean> {
  return handle.stat().then(
    (stats) => stats.isFile() && stats.nlink === 0,
    () => true,
  )
}

function isSameFile({ stats: one }: Opened, { stats: other }: Opened): boolean {
  return one.dev === other.dev && one.ino === other.ino
}
