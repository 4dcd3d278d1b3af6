// Installs the root where this machine's clients look for it: one certs.d folder per kind of client, in it one folder
// per registry key.

import { mkdir, readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { replaceFile } from '../../atomic-file.ts'
import { CommandError, errorCode, errorMessage } from '../../errors.ts'
import type { Machine } from '../machine.ts'

export interface InstalledFile {
  readonly file: string
  readonly outcome: 'written' | 'replaced' | 'already there'
}

/**
 * Writes `ca.crt` for each key into each folder; what holds the root already stays as it is. Rejects with a
 * CommandError that names the mend.
 */
export async function installRoot(
  pem: string,
  { keys, folders }: { readonly keys: readonly string[]; readonly folders: readonly string[] },
): Promise<readonly InstalledFile[]> {
  const installed: InstalledFile[] = []
  for (const file of folders.flatMap((folder) => keys.map((key) => join(folder, key, 'ca.crt')))) {
    installed.push({ file, outcome: await install(file, pem) })
  }
  return installed
}

/** The certs.d folders that clients on this machine read. Throws a CommandError where there are none. */
export function certsFolders({ platform, isRoot, etc, home }: Machine): readonly string[] {
  if (platform === 'win32') {
    throw new CommandError(
      'Windows has no certs.d folders, because no path may hold a colon; ' +
        'leave out --install and run the command printed under "windows"',
    )
  }
  if (platform === 'darwin') return [join(home, '.docker/certs.d')]
  if (isRoot) return [join(etc, 'docker/certs.d'), join(etc, 'containers/certs.d')]
  return [join(home, '.config/containers/certs.d'), join(home, '.config/docker/certs.d')]
}

async function install(file: string, pem: string): Promise<InstalledFile['outcome']> {
  try {
    const present = await readIfPresent(file)
    if (present?.includes(pem.trim())) return 'already there'
    await mkdir(dirname(file), { recursive: true })
    await replaceFile(file, pem)
    return present === undefined ? 'written' : 'replaced'
  } catch (error) {
    throw new CommandError(`${file}: ${mendFor(error)}`, { cause: error })
  }
}

async function readIfPresent(file: string): Promise<string | undefined> {
  return readFile(file, 'utf8').catch((error: unknown) => {
    if (errorCode(error) === 'ENOENT') return undefined
    throw error
  })
}

function mendFor(error: unknown): string {
  switch (errorCode(error)) {
    case 'EACCES':
    case 'EPERM':
      return 'permission denied; run the same command with sudo'
    case 'EROFS':
      return 'the file system is read-only; run the commands that `trust` prints where clients run'
    default:
      return errorMessage(error)
  }
}
