// Creates, touches, moves and removes one lock file.

import { randomUUID } from 'node:crypto'
import { open, rename, stat, unlink, type FileHandle } from 'node:fs/promises'

import { CommandError, errorCode } from '../errors/errors.ts'
import { ifPresent, readIfPresent, readRegular } from './regular-file.ts'

const TOUCH_EVERY_MS = 1_000

export interface HeldLock {
  /** Rejects with a CommandError if another process took over the lock while this process was suspended. */
  assertHeld(): Promise<void>
  /** Resolves to false if another process has already taken over this lock. */
  moveTo(target: string): Promise<boolean>
  release(): Promise<void>
}

/** Resolves to undefined if the file already exists. */
export async function createLockFile(path: string): Promise<HeldLock | undefined> {
  const token = randomUUID()
  const handle = await openNew(path)
  if (handle === undefined) return undefined
  try {
    await handle.writeFile(token)
  } catch (error) {
    await handle.close()
    await unlink(path).catch(() => undefined)
    throw error
  }
  return hold(handle, path, token)
}

async function openNew(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, 'wx')
  } catch (error) {
    if (errorCode(error) === 'EEXIST') return undefined
    throw error
  }
}

function hold(handle: FileHandle, createdAt: string, token: string): HeldLock {
  let path = createdAt
  const touching = setInterval(() => {
    // The next touch makes up for a failed touch, and assertHeld detects a lost lock.
    handle.utimes(new Date(), new Date()).catch(() => undefined)
  }, TOUCH_EVERY_MS)

  async function isHeld(): Promise<boolean> {
    return (await readIfPresent(path))?.toString() === token
  }

  return {
    async assertHeld() {
      if (!(await isHeld()))
        throw new CommandError('another process took over the lock; nothing was changed, try again')
    },
    async moveTo(target) {
      try {
        await rename(path, target)
      } catch (error) {
        if (errorCode(error) === 'ENOENT') return false
        throw error
      }
      path = target
      return isHeld()
    },
    async release() {
      clearInterval(touching)
      await handle.close()
      if (await isHeld()) await unlink(path)
    },
  }
}

/** Resolves to a text that changes with each touch or replacement, or to undefined without a lock. */
export function observeLockFile(path: string): Promise<string | undefined> {
  return ifPresent(timeAndToken(path))
}

async function timeAndToken(path: string): Promise<string> {
  const { mtimeNs } = await stat(path, { bigint: true })
  return `${mtimeNs} ${(await readRegular(path)).toString()}`
}
