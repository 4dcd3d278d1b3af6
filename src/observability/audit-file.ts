// Opens the audit file, and opens it again for logrotate.
// Follows symbolic links, because log folders are often links.

import { constants, type Stats } from 'node:fs'
import { open, type FileHandle } from 'node:fs/promises'
import { errorCode, errorMessage, InvalidFileError } from '../errors/errors.ts'
import type { LineTarget } from './line-queue.ts'

export interface AuditFile extends LineTarget {
  /** The file is opened again before the next write. */
  reopen(): void
}

interface Opened {
  readonly handle: FileHandle
  readonly stats: Stats
}

/** Rejects with InvalidFileError. `onTrouble` gets the reason if a file that was in use cannot be opened again. */
export async function openAuditFile(file: string, onTrouble: (reason: string) => void): Promise<AuditFile> {
  let current = await openToAppend(file)
  let isWanted = false
  let failure: string | undefined

  async function prepare(): Promise<'same' | 'replaced'> {
    const wasDeleted = await isDeleted(current)
    if (!isWanted && !wasDeleted && failure === undefined) return 'same'
    const wasWanted = isWanted
    // Before the file is opened, because the next signal may arrive meanwhile.
    isWanted = false
    let next: Opened
    try {
      next = await openToAppend(file)
    } catch (error) {
      // Lines in a deleted file would be lost. Otherwise they go to the file that is open.
      if (wasDeleted) throw error
      if (wasWanted) onTrouble(errorMessage(error))
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
      isWanted = true
    },
    close: () => current.handle.close(),
  }
}

// O_NONBLOCK: a named pipe must hold up neither the start nor, when it is full, a thread that reads files.
const APPEND = constants.O_APPEND | constants.O_CREAT | constants.O_NONBLOCK

async function openToAppend(file: string): Promise<Opened> {
  const handle = await openHandle(file).catch((error: unknown) => {
    const reason = FIXES[errorCode(error) ?? ''] ?? `cannot be opened for writing: ${errorMessage(error)}`
    throw new InvalidFileError(file, reason, { cause: error })
  })
  return { handle, stats: await handle.stat() }
}

// Threat: other users of this machine read names of users and repositories, so the mode is 0600.
async function openHandle(file: string): Promise<FileHandle> {
  try {
    return await open(file, APPEND | constants.O_WRONLY, 0o600)
  } catch (error) {
    // A named pipe without a reader. Its own read end keeps the lines until a reader comes.
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

// On an error, such as ESTALE of a network file system, the file is opened again too.
function isDeleted({ handle }: Opened): Promise<boolean> {
  return handle.stat().then(
    (stats) => stats.isFile() && stats.nlink === 0,
    () => true,
  )
}

function isSameFile({ stats: one }: Opened, { stats: other }: Opened): boolean {
  return one.dev === other.dev && one.ino === other.ino
}
