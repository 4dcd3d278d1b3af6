// Removes the files that `--install` wrote.

import type { X509Certificate } from 'node:crypto'
import { lstat, rmdir, unlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { errorCode } from '../../errors/errors.ts'
import { quoted } from '../../client-setup/shell-commands.ts'
import {
  FILE_NAME,
  holdsAll,
  hasInstallName,
  holdsOnlySidecarRoots,
  parseCertificates,
  readCertsFolder,
  type CertsFile,
} from './certs-file.ts'
import { failed, type FileOutcome } from './file-outcome.ts'
import type { InstallTargets } from './install-root.ts'

/** Removes empty folders too, because podman reads only the first folder that exists. Without `pem`, it finds roots by name. */
export async function uninstallRoot(
  pem: string | undefined,
  { keys, folders }: InstallTargets,
): Promise<readonly FileOutcome[]> {
  const roots = pem === undefined ? [] : parseCertificates(pem)
  const outcomes: FileOutcome[] = []
  for (const folder of folders.flatMap((one) => keys.map((key) => join(one, key)))) {
    outcomes.push(...(await uninstallFrom(folder, roots)))
  }
  return outcomes
}

async function uninstallFrom(
  folder: string,
  roots: readonly X509Certificate[],
): Promise<readonly FileOutcome[]> {
  const file = join(folder, FILE_NAME)
  let present: readonly CertsFile[]
  try {
    present = await readCertsFolder(folder)
  } catch (error) {
    // Suggests no `rm`, because the folder cannot be read, and its files may not be ours.
    const { note } = failed(file, error, '')
    return [{ file, outcome: 'failed', note: `${note ?? ''}; run the same command with sudo` }]
  }
  const outcomes: FileOutcome[] = []
  for (const one of present) outcomes.push(...(await uninstallFile(one, roots)))
  if (outcomes.some(({ outcome }) => outcome === 'removed')) outcomes.push(...(await removeIfEmpty(folder)))
  return outcomes.length === 0 ? [{ file, outcome: 'absent' }] : outcomes
}

async function uninstallFile(
  file: CertsFile,
  roots: readonly X509Certificate[],
): Promise<readonly FileOutcome[]> {
  const { path, isLink } = file
  const hasRoot = holdsAll(file, roots)
  if (hasInstallName(path) && holdsOnlySidecarRoots(file, roots)) {
    const note = hasRoot ? {} : { note: 'an earlier root of a registry-sidecar' }
    return unlink(path).then(
      () => [{ file: path, outcome: 'removed', ...note }] as const,
      (error: unknown) => [failed(path, error, removalOf(path))],
    )
  }
  if (hasRoot) {
    const reason = isLink
      ? 'it is a link, and --install creates no links'
      : 'it holds other certificates too, or has another name'
    return [
      {
        file: path,
        outcome: 'kept',
        note: `the file holds the root, but --install did not write it: ${reason}`,
      },
    ]
  }
  return hasInstallName(path) ? [{ file: path, outcome: 'kept', note: 'it holds other certificates' }] : []
}

async function removeIfEmpty(folder: string): Promise<readonly FileOutcome[]> {
  // A link may point to a folder of another user.
  if ((await lstat(folder)).isSymbolicLink()) return []
  try {
    await rmdir(folder)
    return [{ file: folder, outcome: 'removed', note: 'the empty folder' }]
  } catch (error) {
    if (['ENOTEMPTY', 'EEXIST'].includes(errorCode(error) ?? '')) return []
    return [failed(folder, error, `sudo rmdir -- ${quoted(folder)}`)]
  }
}

function removalOf(file: string): string {
  const folder = dirname(file)
  return `sudo rm -- ${quoted(file)} && sudo rmdir --ignore-fail-on-non-empty -- ${quoted(folder)}`
}
