// Replaces a file atomically: writes a temporary file, flushes it, renames it.
//
// On a full disk, write-file-atomic 7.0.1 renamed a truncated file over the complete one, so it is not used here.

import { randomBytes } from 'node:crypto'
import type { Stats } from 'node:fs'
import { open, rename, stat, unlink, type FileHandle } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'

import { CommandError } from '../errors/errors.ts'
import { ifPresent } from './regular-file.ts'

export interface ReplaceOptions {
  /** The default is the mode of the replaced file, or 0644 minus the umask. */
  readonly mode?: number
  readonly beforeRename?: () => Promise<void>
}

/** Keeps the owner and mode. After a failure `file` is unchanged. */
export async function replaceFile(
  file: string,
  content: Buffer | string,
  { mode, beforeRename }: ReplaceOptions = {},
): Promise<void> {
  const previous = await ifPresent(stat(file))
  const temporary = join(dirname(file), `.${basename(file)}.${randomBytes(6).toString('hex')}.tmp`)
  // Threat: the new file must not be readable by others before it has the owner and mode of the replaced file.
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

interface TargetFile {
  readonly previous: Stats | undefined
  readonly mode: number | undefined
}

async function fill(
  handle: FileHandle,
  content: Buffer | string,
  { previous, mode }: TargetFile,
): Promise<void> {
  try {
    // Unlike write, FileHandle.writeFile continues until everything is written, or fails.
    await handle.writeFile(content)
    if (previous !== undefined) await keepOwner(handle, previous)
    const wanted = mode ?? previous?.mode
    if (wanted !== undefined) await handle.chmod(wanted & 0o7777)
    await handle.sync()
  } finally {
    await handle.close()
  }
}

// With another owner the sidecar might lose the right to read the file.
async function keepOwner(handle: FileHandle, previous: Stats): Promise<void> {
  const { uid, gid } = previous
  const current = await handle.stat()
  if (current.uid !== uid || current.gid !== gid) {
    try {
      await handle.chown(uid, gid)
    } catch (error) {
      const owner = `${uid}:${gid}`
      const hint = `run this as its owner; in the container: docker compose exec -u ${owner} …`
      throw new CommandError(
        `the file belongs to ${owner}, and replacing it would change its owner; ${hint}`,
        { cause: error },
      )
    }
  }
}

// Without this, a power cut may undo the rename. Some file systems do not support this.
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
