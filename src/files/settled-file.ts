// Reads a file that may be changing at this moment.
//
// During a change a file may be empty, missing or half written. Such content must not count as new content.

import type { FileHandle } from 'node:fs/promises'
import { setTimeout as pause } from 'node:timers/promises'
import { errorCode, errorMessage, InvalidFileError } from '../errors/errors.ts'
import { openToRead, readBounded, refuseUnlessRegular, type FileCheck } from './regular-file.ts'

const LOOK_PAUSE_MS = 40

// Counts looks, not milliseconds. If this process was suspended, the writer may have been suspended too.
const LOOKS_UNTIL_GONE = 8 // 280 ms from the first to the last
const LOOKS_UNTIL_GIVEN_UP = 125 // about 5 s

type Look =
  | { readonly kind: 'content'; readonly bytes: Buffer }
  | { readonly kind: 'empty' }
  | { readonly kind: 'missing'; readonly cause: unknown }
  | { readonly kind: 'changing' }

/** Resolves after 40 ms without a change, or 280 ms without content. Rejects with InvalidFileError, within about 5 s. */
export async function readSettled(file: string, check?: FileCheck): Promise<Buffer> {
  let gone = 0
  for (let looks = 0; looks < LOOKS_UNTIL_GIVEN_UP; looks++) {
    const look = await lookAt(file, check)
    if (look.kind === 'content') return look.bytes
    gone = look.kind === 'changing' ? 0 : gone + 1
    if (gone < LOOKS_UNTIL_GONE) continue
    if (look.kind === 'missing') throw new InvalidFileError(file, 'is missing', { cause: look.cause })
    return Buffer.alloc(0)
  }
  throw new InvalidFileError(file, 'is still being written; it is read again when the writing stops')
}

async function lookAt(file: string, check: FileCheck | undefined): Promise<Look> {
  try {
    const handle = await openToRead(file)
    try {
      await check?.(await handle.stat(), file)
      return await lookInside(handle, file)
    } finally {
      await handle.close()
    }
  } catch (error) {
    if (!isMissing(error)) throw asInvalidFile(file, error)
    await pause(LOOK_PAUSE_MS)
    return { kind: 'missing', cause: error }
  }
}

// Uses one open file, so that repeated renames over its name cannot prevent the read.
async function lookInside(handle: FileHandle, file: string): Promise<Look> {
  const before = await sizeAndTimeOf(handle, file)
  await pause(LOOK_PAUSE_MS)
  const after = await sizeAndTimeOf(handle, file)
  if (!isSame(before, after)) return { kind: 'changing' }
  if (after.size === 0n) return { kind: 'empty' }
  const bytes = await readBounded(handle, file)
  return isSame(after, await sizeAndTimeOf(handle, file)) ? { kind: 'content', bytes } : { kind: 'changing' }
}

interface SizeAndTime {
  readonly size: bigint
  readonly mtimeNs: bigint
}

async function sizeAndTimeOf(handle: FileHandle, file: string): Promise<SizeAndTime> {
  const stats = await handle.stat({ bigint: true })
  if (stats.isDirectory()) {
    throw new InvalidFileError(
      file,
      'is a folder, not a file; docker creates a folder if the file to mount is missing on the host',
    )
  }
  refuseUnlessRegular(stats, file)
  return stats
}

function isSame(one: SizeAndTime, other: SizeAndTime): boolean {
  return one.size === other.size && one.mtimeNs === other.mtimeNs
}

function isMissing(error: unknown): boolean {
  const code = errorCode(error)
  return code === 'ENOENT' || code === 'ENOTDIR'
}

function asInvalidFile(file: string, error: unknown): InvalidFileError {
  if (error instanceof InvalidFileError) return error
  const code = errorCode(error)
  const reason =
    code === 'EACCES' || code === 'EPERM'
      ? `this process has no permission to read it (${code})`
      : `cannot be read: ${errorMessage(error)}`
  return new InvalidFileError(file, reason, { cause: error })
}
