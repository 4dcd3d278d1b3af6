// Lists the ways people and programs change a file. Each changes the content from `old` to `old-new`, without other
// wanted states.

import {
  appendFile,
  copyFile,
  mkdir,
  rename,
  rm,
  symlink,
  truncate,
  utimes,
  writeFile,
} from 'node:fs/promises'
import path from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { plainFile } from './watched-file.ts'

export interface WayToChange {
  readonly way: string
  /** Creates the file with content `old`, and returns its path. */
  readonly prepare: (base: string) => Promise<string>
  readonly change: (base: string) => Promise<void>
}

export const WAYS_TO_CHANGE: readonly WayToChange[] = [
  { way: 'append', prepare: plainFile, change: (base) => appendFile(fileIn(base), '-new') },
  { way: 'write in place', prepare: plainFile, change: (base) => writeFile(fileIn(base), 'old-new') },
  { way: 'copy over', prepare: plainFile, change: copyOver },
  { way: 'truncate, and write 100 ms later', prepare: plainFile, change: truncateThenWrite },
  { way: 'write and set an older date', prepare: plainFile, change: writeAndDateBack },
  { way: 'rename over', prepare: plainFile, change: (base) => renameOver(base, 'old-new') },
  { way: 'remove, and create 100 ms later', prepare: plainFile, change: removeThenCreate },
  { way: 'swap the symlink', prepare: linkedFile, change: swapLink },
  { way: 'edit the target of the symlink', prepare: linkedFile, change: editTarget },
  { way: 'rename over the target of the symlink', prepare: linkedFile, change: renameOverTarget },
  { way: 'swap a link in the middle of a chain', prepare: chainedFile, change: swapMiddleLink },
  { way: 'swap the ..data of a ConfigMap', prepare: configMap, change: swapConfigMap },
  { way: 'swap a link to the folder', prepare: linkedFolder, change: swapFolderLink },
  { way: 'replace the folder by another', prepare: plainFile, change: replaceFolder },
  { way: 'remove the folder, and make it again 100 ms later', prepare: plainFile, change: remakeFolder },
]

/** Writes `content` to a file with another name, and renames that over the file. */
export async function renameOver(base: string, content: string): Promise<void> {
  const temporary = `${fileIn(base)}.${Math.random()}`
  await writeFile(temporary, content)
  await rename(temporary, fileIn(base))
}

function fileIn(base: string): string {
  return path.join(base, 'users', 'htpasswd')
}

async function copyOver(base: string): Promise<void> {
  await writeFile(path.join(base, 'other'), 'old-new')
  await copyFile(path.join(base, 'other'), fileIn(base))
}

async function truncateThenWrite(base: string): Promise<void> {
  await truncate(fileIn(base), 0)
  await pause(100)
  await writeFile(fileIn(base), 'old-new')
}

async function writeAndDateBack(base: string): Promise<void> {
  await writeFile(fileIn(base), 'old-new')
  await utimes(fileIn(base), 1_000_000, 1_000_000)
}

async function removeThenCreate(base: string): Promise<void> {
  await rm(fileIn(base))
  await pause(100)
  await writeFile(fileIn(base), 'old-new')
}

async function linkedFile(base: string): Promise<string> {
  for (const folder of ['users', 'a', 'b']) await mkdir(path.join(base, folder))
  await writeFile(path.join(base, 'a', 'target'), 'old')
  await writeFile(path.join(base, 'b', 'target'), 'old-new')
  await symlink('../a/target', fileIn(base))
  return 'users/htpasswd'
}

function swapLink(base: string): Promise<void> {
  return relink(fileIn(base), '../b/target')
}

function editTarget(base: string): Promise<void> {
  return writeFile(path.join(base, 'a', 'target'), 'old-new')
}

function renameOverTarget(base: string): Promise<void> {
  return rename(path.join(base, 'b', 'target'), path.join(base, 'a', 'target'))
}

async function chainedFile(base: string): Promise<string> {
  const file = await linkedFile(base)
  await mkdir(path.join(base, 'links'))
  await symlink(path.join(base, 'a', 'target'), path.join(base, 'links', 'middle'))
  await relink(fileIn(base), '../links/middle')
  return file
}

function swapMiddleLink(base: string): Promise<void> {
  return relink(path.join(base, 'links', 'middle'), path.join(base, 'b', 'target'))
}

async function configMap(base: string): Promise<string> {
  await mkdir(path.join(base, 'users', '..2024_01'), { recursive: true })
  await writeFile(path.join(base, 'users', '..2024_01', 'htpasswd'), 'old')
  await symlink('..2024_01', path.join(base, 'users', '..data'))
  await symlink('..data/htpasswd', fileIn(base))
  return 'users/htpasswd'
}

// Does the same steps as kubelet, in the same order: it removes the old folder last.
async function swapConfigMap(base: string): Promise<void> {
  await mkdir(path.join(base, 'users', '..2024_02'))
  await writeFile(path.join(base, 'users', '..2024_02', 'htpasswd'), 'old-new')
  await relink(path.join(base, 'users', '..data'), '..2024_02')
  await rm(path.join(base, 'users', '..2024_01'), { recursive: true })
}

async function linkedFolder(base: string): Promise<string> {
  for (const folder of ['a', 'b']) await mkdir(path.join(base, folder))
  await writeFile(path.join(base, 'a', 'htpasswd'), 'old')
  await writeFile(path.join(base, 'b', 'htpasswd'), 'old-new')
  await symlink('a', path.join(base, 'users'))
  return 'users/htpasswd'
}

function swapFolderLink(base: string): Promise<void> {
  return relink(path.join(base, 'users'), 'b')
}

async function replaceFolder(base: string): Promise<void> {
  await mkdir(path.join(base, 'next'))
  await writeFile(path.join(base, 'next', 'htpasswd'), 'old-new')
  await rename(path.join(base, 'users'), path.join(base, 'former'))
  await rename(path.join(base, 'next'), path.join(base, 'users'))
}

async function remakeFolder(base: string): Promise<void> {
  await rm(path.join(base, 'users'), { recursive: true })
  await pause(100)
  await mkdir(path.join(base, 'users'))
  await writeFile(fileIn(base), 'old-new')
}

// As `ln -sfn` does it. The link exists at every moment.
async function relink(link: string, target: string): Promise<void> {
  await symlink(target, `${link}.new`)
  await rename(`${link}.new`, link)
}
