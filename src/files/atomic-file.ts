// A file's new content, all or nothing: written beside it, flushed, and renamed over it.
//
// Ours because write-file-atomic does not look at how much was written: on a full disk it renamed a truncated file
// over the whole one (version 7.0.1, seen on a tmpfs).

import { randomBytes } from 'node:crypto'
import type { Stats } from 'node:fs'
import { open, rename, stat, unlink, type FileHandle } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'

import { CommandError } from '../errors/errors.ts'
import { ifPresent } from './regular-file.ts'

export interface ReplaceOptions {
  /** Exactly this one. Absent: that of the file that is replaced, or 0644 less the umask. */
  readonly mode?: number
  /** The last chance to reject. */
  readonly beforeRename?: () => Promise<void>
}

/**
 * Puts `content` in place of what `file` holds, keeping its owner and mode. Never visible under its name half-written,
 * nor with a wider mode than it ends with. Whatever fails, `file` stays as it was.
 */
export async function replaceFile(
  file: string,
  content: Buffer | string,
  { mode, beforeRename }: ReplaceOptions = {},
): Promise<void> {
  const previous = await ifPresent(stat(file))
  const temporary = join(dirname(file), `.${basename(file)}.${randomBytes(6).toString('hex')}.tmp`)
  // Closed to others until it has the owner and mode of the file it replaces.
  const handle = await open(temporary, 'wx', previous === undefined && mode === undefined ? 0o644 : 0o600)
  try {
    await fill(handle, content, { previous, mode })
    await beforeRename?.()
    await rename(temporary, file)
  } catch (error) {
    await unlink(temporary).catch(() => undefined)
    throw error
  }
  await flushFolder(dirname(file))
}

interface Standing {
  readonly previous: Stats | undefined
  readonly mode: number | undefined
}

async function fill(
  handle: FileHandle,
  content: Buffer | string,
  { previous, mode }: Standing,
): Promise<void> {
  try {
    // FileHandle.writeFile, unlike write, goes on until everything is written or an error says why not.
    await handle.writeFile(content)
    if (previous !== undefined) await keepOwner(handle, previous)
    const wanted = mode ?? previous?.mode
    if (wanted !== undefined) await handle.chmod(wanted & 0o7777)
    await handle.sync()
  } finally {
    await handle.close()
  }
}

// Refused rather than ignored: with another owner the sidecar might not be allowed to read the file any more.
async function keepOwner(handle: FileHandle, previous: Stats): Promise<void> {
  const { uid, gid } = previous
  const own = await handle.stat()
  if (own.uid !== uid || own.gid !== gid) {
    try {
      await handle.chown(uid, gid)
    } catch (error) {
      const owner = `${uid}:${gid}`
      const hint = `run this as its owner; in the container: docker compose exec -u ${owner} …`
      throw new CommandError(`the file belongs to ${owner} and would change hands; ${hint}`, { cause: error })
    }
  }
}

// The rename is done and seen by everyone; this makes it outlast a power cut, where the file system can.
async function flushFolder(folder: string): Promise<void> {
  let handle: FileHandle | undefined
  try {
    handle = await open(folder)
    await handle.sync()
  } catch {
    return
  } finally {
    await handle?.close()
  }
}
