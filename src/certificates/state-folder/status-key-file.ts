// Reads the status key, or creates it in the state folder.

import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { InvalidFileError } from '../../errors/errors.ts'
import { refuseForeign } from '../../files/foreign-file.ts'
import { readIfPresent } from '../../files/regular-file.ts'
import type { Log } from '../../observability/log.ts'
import {
  createStateFolder,
  pathsIn,
  restrictKeyFile,
  rethrowWithFix,
  underLock,
  write,
} from './state-files.ts'

const KEY_BYTES = 32

const FORM = /^[A-Za-z0-9_-]{43}\n?$/

/** Text, so that `$(cat status.key)` can be part of a command. */
export function statusKeyFile(folder: string): string {
  return join(folder, 'status.key')
}

/** Undefined if there is no usable key and none can be stored. Then nothing needs the key. */
export async function openStatusKey(folder: string, log: Log): Promise<string | undefined> {
  const file = statusKeyFile(folder)
  await restrictKeyFile(file, log)
  try {
    return (await readStatusKey(folder)) ?? (await createStatusKey(folder))
  } catch (error) {
    if (!(error instanceof InvalidFileError)) throw error
    const { reason } = error
    log.warn(
      { event: 'status-key-not-stored', file, reason },
      'the status key is not stored: `top` shows no names',
    )
    return undefined
  }
}

/** Undefined if it is missing or has another form. Rejects with InvalidFileError if it cannot be read. */
export async function readStatusKey(folder: string): Promise<string | undefined> {
  const file = statusKeyFile(folder)
  const text = (await readIfPresent(file, refuseForeign).catch(rethrowWithFix(file, 'read')))?.toString()
  return text !== undefined && FORM.test(text) ? text.trim() : undefined
}

// Reads again under the lock: sidecars that share a state folder share the key.
async function createStatusKey(folder: string): Promise<string> {
  await createStateFolder({ folder })
  return underLock(pathsIn({ folder }), async (lock) => {
    const present = await readStatusKey(folder)
    if (present !== undefined) return present
    const created = randomBytes(KEY_BYTES).toString('base64url')
    await write(statusKeyFile(folder), `${created}\n`, { mode: 0o600, lock })
    return created
  })
}
