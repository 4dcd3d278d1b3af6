// Reads the token key, or creates it in the state folder.

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
  warnOfReadableKey,
  write,
  type StatePlace,
} from './state-files.ts'

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
export async function openTokenKey(
  { folder, rootFolder }: StatePlace,
  log: Log | undefined,
): Promise<Buffer> {
  if (rootFolder !== undefined) return readSharedTokenKey(rootFolder, log)
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

// With a key for each replica, tokens of one replica would be invalid at another.
async function readSharedTokenKey(folder: string, log: Log | undefined): Promise<Buffer> {
  const file = tokenKeyFile(folder)
  await warnOfReadableKey(file, log)
  const key = await readTokenKey(file, `replace it in the folder that the replicas share: \`${CREATE_KEY}\``)
  if (key !== undefined) return key
  throw new InvalidFileError(
    file,
    `is missing, and the replicas must share one key: create it in SIDECAR_ROOT_DIR with \`${CREATE_KEY}\``,
  )
}

const CREATE_KEY = `head -c ${TOKEN_KEY_BYTES} /dev/urandom > token.key`

// Reads again under the lock: if two processes start at once, the second uses the key of the first.
async function storeUnlessPresent(folder: string, created: Buffer): Promise<Buffer> {
  const file = tokenKeyFile(folder)
  await createStateFolder({ folder })
  return underLock(pathsIn({ folder }), async (lock) => {
    const present = await readTokenKey(file)
    if (present === undefined) await write(file, created, { mode: 0o600, lock })
    return present ?? created
  })
}

const RESTORE =
  'restore the right file, or remove it; then the next start creates a new key, which ends all tokens'

async function readTokenKey(file: string, fix = RESTORE): Promise<Buffer | undefined> {
  const bytes = await readIfPresent(file, refuseForeign).catch(rethrowWithFix(file, 'read'))
  if (bytes === undefined || bytes.length === TOKEN_KEY_BYTES) return bytes
  const found = `has ${bytes.length} bytes instead of ${TOKEN_KEY_BYTES}`
  throw new InvalidFileError(file, `${found}: ${fix}`)
}
