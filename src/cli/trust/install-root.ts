// Installs the root where this machine's clients look for it.
//
// Never asks and never gains rights: for a file that it may not write, it reports the command to run.

import { chmod, mkdir } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { replaceFile } from '../../files/atomic-file.ts'
import { existsFile } from '../../files/regular-file.ts'
import { copyFile, quoted } from '../../client-setup/shell-commands.ts'
import {
  FILE_NAME,
  FILE_NAME_BESIDE_OTHERS,
  holdsAll,
  hasInstallName,
  holdsOnlySidecarRoots,
  parseCertificates,
  readCertsFolder,
  type CertsFile,
} from './certs-file.ts'
import { failed, type FileOutcome } from './file-outcome.ts'

export interface InstallTargets {
  readonly keys: readonly string[]
  /** certs.d folders. */
  readonly folders: readonly string[]
}

export interface RootToInstall {
  readonly pem: string
  /** A file that holds the root. Suggested commands copy it. */
  readonly file: string
  readonly home: string
}

/** Continues after failures. Replaces an earlier root of a registry-sidecar, but never changes files of others. */
export async function installRoot(
  root: RootToInstall,
  { keys, folders }: InstallTargets,
): Promise<readonly FileOutcome[]> {
  const outcomes: FileOutcome[] = []
  for (const folder of folders.flatMap((one) => keys.map((key) => join(one, key)))) {
    outcomes.push(await installInto(folder, root))
  }
  return outcomes
}

async function installInto(folder: string, { pem, file: source, home }: RootToInstall): Promise<FileOutcome> {
  // Until the folder has been read, the suggested command must not replace a file of others.
  let target = join(folder, FILE_NAME_BESIDE_OTHERS)
  try {
    const present = await readCertsFolder(folder)
    const wanted = parseCertificates(pem)
    const holder = present.find((one) => holdsAll(one, wanted))
    if (holder !== undefined) return await makeReadable(holder)
    const earlier = present.find(mayReplace)
    target = earlier?.path ?? freeName(folder, present)
    await createFolder(folder)
    // The mode is explicit, because a strict umask would make the file unreadable for clients of other users.
    await replaceFile(target, pem, { mode: 0o644 })
    return outcomeOf(target, earlier)
  } catch (error) {
    const command = folder.startsWith(join(home, '/'))
      ? await chownCommand(folder)
      : `sudo ${copyFile(source, quoted(target))}`
    return failed(target, error, command)
  }
}

// A file that `sudo` copies would belong to root, and the user could not change it later.
async function chownCommand(folder: string): Promise<string> {
  let nearest = folder
  while (!(await existsFile(nearest)) && nearest !== dirname(nearest)) nearest = dirname(nearest)
  return `sudo chown -R "$(id -u):$(id -g)" ${quoted(nearest)}  # then run the same command again`
}

function outcomeOf(file: string, earlier: CertsFile | undefined): FileOutcome {
  if (earlier !== undefined) {
    return { file, outcome: 'replaced', note: 'an earlier root' }
  }
  if (basename(file) === FILE_NAME) return { file, outcome: 'written' }
  return { file, outcome: 'written', note: `the other file ${FILE_NAME} is kept; clients read both` }
}

// A client can ignore the whole folder if it cannot read one of the files.
async function makeReadable({ path: file, isLink, mode = 0o644 }: CertsFile): Promise<FileOutcome> {
  const readable = mode | 0o444
  if (isLink || readable === mode) return { file, outcome: 'unchanged' }
  return chmod(file, readable).then(
    () => ({ file, outcome: 'written', note: 'existed, but some users could not read it' }) as const,
    () => ({ file, outcome: 'unchanged' }) as const,
  )
}

// Only `--install` uses the name registry-sidecar.crt, so a regular file of that name may be replaced.
function mayReplace(file: CertsFile): boolean {
  if (basename(file.path) === FILE_NAME_BESIDE_OTHERS) return !file.isLink && file.mode !== undefined
  return hasInstallName(file.path) && holdsOnlySidecarRoots(file, [])
}

function freeName(folder: string, present: readonly CertsFile[]): string {
  const taken = new Set(present.map(({ path }) => path))
  const free = [FILE_NAME, FILE_NAME_BESIDE_OTHERS].map((name) => join(folder, name))
  const target = free.find((path) => !taken.has(path))
  if (target === undefined)
    throw new Error(
      `${FILE_NAME} is kept; remove ${FILE_NAME_BESIDE_OTHERS}, which is a link, not a regular file, or too large`,
    )
  return target
}

// Sets the mode of new folders only.
async function createFolder(folder: string): Promise<void> {
  const topmost = await mkdir(folder, { recursive: true })
  if (topmost === undefined) return
  for (let created = folder; ; created = dirname(created)) {
    await chmod(created, 0o755)
    if (created === topmost) return
  }
}
