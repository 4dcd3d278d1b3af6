// Reads regular files, with a size limit.
//
// Threat: a named pipe without a writer must not block the process, and an endless device must not fill its memory.

import { constants, type BigIntStats, type Stats } from 'node:fs'
import { access, open, type FileHandle } from 'node:fs/promises'
import { errorCode, InvalidFileError } from '../errors/errors.ts'

const MIB = 1024 * 1024
const MAX_MIB = 64
const MAX_BYTES = MAX_MIB * MIB
// With pieces of 1 MiB the garbage collector would run after every few reads.
const PIECE_BYTES = 64 * 1024

export function openToRead(file: string): Promise<FileHandle> {
  return open(file, constants.O_RDONLY | constants.O_NONBLOCK)
}

export function refuseUnlessRegular(stats: Stats | BigIntStats, file: string): void {
  if (!stats.isFile()) {
    throw new InvalidFileError(file, 'is a pipe, a device or a socket: put a regular file in its place')
  }
  if (stats.size > MAX_BYTES) throw tooLarge(file)
}

/** A file may grow while it is read, and files of /proc report size 0 although some never end. */
export async function readBounded(handle: FileHandle, file: string): Promise<Buffer> {
  // Reads one whole piece more than allowed, because some files of /proc can be read only in multiples of a block size.
  const end = MAX_BYTES + PIECE_BYTES - 1
  const stream = handle.createReadStream({ autoClose: false, start: 0, end, highWaterMark: PIECE_BYTES })
  const bytes = Buffer.concat((await stream.toArray()) as Buffer[])
  if (bytes.length > MAX_BYTES) throw tooLarge(file)
  return bytes
}

/** Rejects with InvalidFileError if the file must not be read. */
export type FileCheck = (stats: Stats | BigIntStats, file: string) => Promise<void>

/** Rejects with system errors (`EISDIR` for a folder), and with InvalidFileError over 64 MiB. */
export async function readRegular(file: string, check?: FileCheck): Promise<Buffer> {
  const handle = await openToRead(file)
  try {
    const stats = await handle.stat()
    if (!stats.isDirectory()) refuseUnlessRegular(stats, file)
    await check?.(stats, file)
    return await readBounded(handle, file)
  } finally {
    await handle.close()
  }
}

export function readIfPresent(file: string, check?: FileCheck): Promise<Buffer | undefined> {
  return ifPresent(readRegular(file, check))
}

export async function ifPresent<T>(look: Promise<T>): Promise<T | undefined> {
  try {
    return await look
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined
    throw error
  }
}

export function existsFile(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  )
}

function tooLarge(file: string): InvalidFileError {
  return new InvalidFileError(file, `is larger than ${MAX_MIB} MiB`)
}
