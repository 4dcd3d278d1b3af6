// Reads, writes, locks and protects the files of the state folder.

import { chmod, mkdir, rm, stat } from 'node:fs/promises'
import { platform } from 'node:os'
import { dirname, join } from 'node:path'
import { replaceFile } from '../../files/atomic-file.ts'
import { errorCode, errorMessage, InvalidFileError } from '../../errors/errors.ts'
import { withFileLock, type FileLock } from '../../files/file-lock.ts'
import type { Log } from '../../observability/log.ts'
import { refuseForeign } from '../../files/foreign-file.ts'
import { readIfPresent } from '../../files/regular-file.ts'
import type { IssuedCertificate } from '../../pki/issue.ts'

export type StatePaths = ReturnType<typeof pathsIn>
export type StateTexts = Readonly<Partial<Record<keyof StatePaths, string>>>

export interface StatePlace {
  readonly folder: string
  /** The folder of a root that replicas share. Only read. Absent: the root is in the state folder. */
  readonly rootFolder?: string | undefined
}

export function pathsIn({ folder, rootFolder = folder }: StatePlace) {
  return {
    rootKey: join(rootFolder, 'root.key'),
    rootCert: join(rootFolder, 'root.crt'),
    marker: join(rootFolder, 'root.sha256'),
    leafKey: join(folder, 'leaf.key'),
    leafCert: join(folder, 'leaf.crt'),
    crossCert: join(rootFolder, 'cross.crt'),
    nextRootKey: join(rootFolder, 'next-root.key'),
    nextRootCert: join(rootFolder, 'next-root.crt'),
  }
}

export function isRootShared({ rootCert, leafCert }: Pick<StatePaths, 'rootCert' | 'leafCert'>): boolean {
  return dirname(rootCert) !== dirname(leafCert)
}

export async function createStateFolder({ folder }: StatePlace): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 }).catch(rethrowWithFix(folder, 'written'))
}

export async function readFiles(paths: Partial<StatePaths>): Promise<StateTexts> {
  const reads = Object.entries(paths).map(async ([part, file]) => {
    const bytes = await readIfPresent(file, refuseForeign).catch(rethrowWithFix(file, 'read'))
    return [part, bytes?.toString()] as const
  })
  return Object.fromEntries((await Promise.all(reads)).filter(([, text]) => text !== undefined))
}

// A reader takes no lock, so it may read between the two writes of a pair. A few milliseconds lie between them.
export const LOOKS_OF_A_READER = { looks: 6, pauseMs: 50 }

export function unlessInvalid<T>(parse: () => T): T | undefined {
  try {
    return parse()
  } catch (error) {
    if (error instanceof InvalidFileError) return undefined
    throw error
  }
}

/** Without the lock, two writers at once could leave a key of one and a certificate of the other. */
export async function underLock<T>(paths: StatePaths, action: (lock: FileLock) => Promise<T>): Promise<T> {
  const folder = dirname(paths.leafCert)
  // The root may be in a read-only folder, but its lock is always in the state folder.
  return withFileLock(join(folder, 'root.crt'), action).catch(rethrowWithFix(folder, 'written'))
}

export interface WriteOptions {
  readonly mode: number
  readonly lock: FileLock
}

/** Sets the mode before the file gets its final name. Throws `InvalidFileError`. */
export async function write(
  file: string,
  content: Buffer | string,
  { mode, lock }: WriteOptions,
): Promise<void> {
  const replaced = replaceFile(file, content, { mode, beforeRename: () => lock.assertHeld() })
  await replaced.catch(rethrowWithFix(dirname(file), 'written'))
}

export async function remove(file: string, lock: FileLock): Promise<void> {
  await lock
    .assertHeld()
    .then(() => rm(file, { force: true }))
    .catch(rethrowWithFix(dirname(file), 'written'))
}

export interface PairFiles {
  readonly certFile: string
  readonly keyFile: string
}

// The key comes first, so a watcher of the certificate finds its key in place.
export async function writePair(
  { certFile, keyFile }: PairFiles,
  pair: IssuedCertificate,
  lock: FileLock,
): Promise<void> {
  await write(keyFile, pair.keyPem, { mode: 0o600, lock })
  await write(certFile, pair.certPem, { mode: 0o644, lock })
}

export async function restrictKeyFile(keyFile: string, log: Log | undefined): Promise<void> {
  const found = await readableBy(0o077, keyFile)
  if (found === undefined) return
  await chmod(keyFile, 0o600).then(
    () =>
      log?.warn(
        { event: 'key-mode-restricted', ...found },
        'other users could read this private key; its mode is 0600 now',
      ),
    (cause: unknown) =>
      log?.warn(
        { event: 'key-readable-by-others', ...found, reason: errorMessage(cause) },
        READABLE_BY_OTHERS,
      ),
  )
}

const READABLE_BY_OTHERS = 'other users can read this private key'

/** For a folder that is only read. Its group may read it, because Kubernetes gives secrets to a group (fsGroup). */
export async function warnOfReadableKey(keyFile: string, log: Log | undefined): Promise<void> {
  const found = await readableBy(0o007, keyFile)
  if (found !== undefined) log?.warn({ event: 'key-readable-by-others', ...found }, READABLE_BY_OTHERS)
}

async function readableBy(
  others: number,
  file: string,
): Promise<{ readonly file: string; readonly mode: string } | undefined> {
  if (platform() === 'win32') return undefined
  const mode = await stat(file).then(
    (stats) => stats.mode & 0o777,
    () => 0,
  )
  return (mode & others) === 0 ? undefined : { file, mode: mode.toString(8).padStart(4, '0') }
}

/** Turns a system error about `file` into an `InvalidFileError` with the fix. */
export function rethrowWithFix(file: string, access: 'read' | 'written'): (error: unknown) => never {
  const action = access === 'read' ? 'read it' : 'write to it'
  const denied = `this user has no permission to ${action}: change its owner to the user that runs the sidecar`
  const hints: Readonly<Record<string, string>> = {
    EACCES: denied,
    EPERM: denied,
    EROFS: 'is on a read-only file system: mount the state folder so that it can be written',
    ENOSPC: 'is on a full disk: free some space',
    EEXIST: 'is a file where the state folder should be: move it away, or choose another folder',
    ENOTDIR: 'has a file in its path where a folder should be: move that file away, or choose another folder',
    EISDIR: 'is a folder where a file should be: move it away',
  }
  return (error) => {
    if (error instanceof InvalidFileError) throw error
    throw new InvalidFileError(file, hints[errorCode(error) ?? ''] ?? errorMessage(error), { cause: error })
  }
}
