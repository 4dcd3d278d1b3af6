// Installs the root where this machine's clients look for it. Asks nobody and raises no rights: what may not be written
// is told, with the command that does it.

import { chmod, lstat, mkdir } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { replaceFile } from '../../files/atomic-file.ts'
import { copyFile, quoted } from '../../client-setup/shell-commands.ts'
import {
  FILE_NAME,
  FILE_NAME_BESIDE_OTHERS,
  holdsAll,
  isNameOfOurs,
  isOurs,
  parseCertificates,
  readCertsFolder,
  type CertsFile,
} from './certs-file.ts'
import { failed, type FileOutcome } from './file-outcome.ts'

export interface Places {
  readonly keys: readonly string[]
  /** certs.d folders. */
  readonly folders: readonly string[]
}

export interface RootToInstall {
  readonly pem: string
  /** A file that holds it, for commands. */
  readonly file: string
  /** The home folder of whoever asks. */
  readonly home: string
}

/**
 * Sees to it that each folder has the root for each key, and goes on after what cannot be done. What holds the root
 * already stays as it is; an earlier root of a registry-sidecar is replaced; what others put there is never touched.
 */
export async function installRoot(
  root: RootToInstall,
  { keys, folders }: Places,
): Promise<readonly FileOutcome[]> {
  const outcomes: FileOutcome[] = []
  for (const folder of folders.flatMap((one) => keys.map((key) => join(one, key)))) {
    outcomes.push(await installInto(folder, root))
  }
  return outcomes
}

async function installInto(folder: string, { pem, file: source, home }: RootToInstall): Promise<FileOutcome> {
  // Until the folder has been looked at, what a person is told to type must not replace the file of others.
  let target = join(folder, FILE_NAME_BESIDE_OTHERS)
  try {
    const present = await readCertsFolder(folder)
    const wanted = parseCertificates(pem)
    const holder = present.find((one) => holdsAll(one, wanted))
    if (holder !== undefined) return await letBeRead(holder)
    const earlier = present.find(mayReplace)
    target = earlier?.path ?? freeName(folder, present)
    await makeFolder(folder)
    // The mode is given: under the umask that some give to root, clients of other users could not read it.
    await replaceFile(target, pem, { mode: 0o644 })
    return outcomeOf(target, earlier)
  } catch (error) {
    const command = folder.startsWith(join(home, '/'))
      ? await givingBack(folder)
      : `sudo ${copyFile(source, quoted(target))}`
    return failed(target, error, command)
  }
}

// What sudo writes into a person's home is root's, and the next thing that this person cannot change.
async function givingBack(folder: string): Promise<string> {
  const isThere = (one: string) =>
    lstat(one).then(
      () => true,
      () => false,
    )
  let nearest = folder
  while (!(await isThere(nearest)) && nearest !== dirname(nearest)) nearest = dirname(nearest)
  return `sudo chown -R "$(id -u):$(id -g)" ${quoted(nearest)}  # then the same command again`
}

function outcomeOf(file: string, earlier: CertsFile | undefined): FileOutcome {
  if (earlier !== undefined) {
    return { file, outcome: 'replaced', note: 'an earlier root was there' }
  }
  if (basename(file) === FILE_NAME) return { file, outcome: 'written' }
  return { file, outcome: 'written', note: `${FILE_NAME} beside it is not ours and stays; clients read both` }
}

// One client stumbles over any file of the folder that it may not read, and reads none of them then.
async function letBeRead({ path: file, isLink, mode = 0o644 }: CertsFile): Promise<FileOutcome> {
  const readable = mode | 0o444
  if (isLink || readable === mode) return { file, outcome: 'unchanged' }
  return chmod(file, readable).then(
    () => ({ file, outcome: 'written', note: 'was there, but could not be read by everyone' }) as const,
    () => ({ file, outcome: 'unchanged' }) as const,
  )
}

// The second name is ours alone, whatever root it held: that of a certificate issued elsewhere, for example.
function mayReplace(file: CertsFile): boolean {
  if (basename(file.path) === FILE_NAME_BESIDE_OTHERS) return !file.isLink && file.mode !== undefined
  return isNameOfOurs(file.path) && isOurs(file, [])
}

function freeName(folder: string, present: readonly CertsFile[]): string {
  const taken = new Set(present.map(({ path }) => path))
  const free = [FILE_NAME, FILE_NAME_BESIDE_OTHERS].map((name) => join(folder, name))
  const target = free.find((path) => !taken.has(path))
  if (target === undefined) throw new Error(`both ${FILE_NAME} and ${FILE_NAME_BESIDE_OTHERS} are not ours`)
  return target
}

// Only folders that are new get a mode: that of others is their business.
async function makeFolder(folder: string): Promise<void> {
  const topmost = await mkdir(folder, { recursive: true })
  if (topmost === undefined) return
  for (let made = folder; ; made = dirname(made)) {
    await chmod(made, 0o755)
    if (made === topmost) return
  }
}
