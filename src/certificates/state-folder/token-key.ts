// Reads the token key of the state folder, or creates it.

import { randomBytes } from 'node:crypto'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'

import { InvalidFileError } from '../../errors/errors.ts'
import { readIfPresent } from '../../files/regular-file.ts'
import type { Log } from '../../observability/log.ts'
import { pathsIn, restrictKeyFile, rethrowWithFix, underLock, write } from './state-files.ts'

/** The smallest size for HS256 (RFC 7518 §3.2). */
const TOKEN_KEY_BYTES = 32

/** The file holds raw bytes, as `head -c 32 /dev/urandom` writes them. */
export function tokenKeyFile(folder: string): string {
  return join(folder, 'token.key')
}

/**
 * Resolves to the key that signs tokens, 32 bytes. If the folder cannot be written, the key ends with this process.
 * Rejects with `InvalidFileError` for a file that is unreadable or of another size.
 */
export async function openTokenKey(folder: string, log: Log | undefined): Promise<Buffer> {
  const file = tokenKeyFile(folder)
  await restrictKeyFile(file, log)
  const present = await readTokenKey(file)
  if (present !== undefined) return present
  const created = randomBytes(TOKEN_KEY_BYTES)
  try {
    return await storeUnlessPresent(folder, created)
  } catch (error) {
    if (!(error instanceof InvalidFileError) || error.file === file) throw error
    log?.warn(
      { event: 'token-key-not-stored', file, reason: error.reason },
      'the token key is not stored: a restart ends all tokens, and other replicas do not accept them',
    )
    return created
  }
}

// Reads again under the lock: if two processes start at once, the second uses the key of the first.
async function storeUnlessPresent(folder: string, created: Buffer): Promise<Buffer> {
  const file = tokenKeyFile(folder)
  await mkdir(folder, { recursive: true, mode: 0o700 }).catch(rethrowWithFix(folder, 'written'))
  return underLock(pathsIn(folder), async (lock) => {
    const present = await readTokenKey(file)
    if (present === undefined) await write(file, created, { mode: 0o600, lock })
    return present ?? created
  })
}

async function readTokenKey(file: string): Promise<Buffer | undefined> {
  const bytes = await readIfPresent(file).catch(rethrowWithFix(file, 'read'))
  if (bytes === undefined || bytes.length === TOKEN_KEY_BYTES) return bytes
  const found = `has ${bytes.length} bytes instead of ${TOKEN_KEY_BYTES}`
  throw new InvalidFileError(
    file,
    `${found}: restore the right file, or remove it; then the next start creates a new key, which ends all tokens`,
  )
}
