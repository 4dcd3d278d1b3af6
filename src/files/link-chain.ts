// Finds the folders whose entries decide which file a path leads to.
//
// Kubernetes mounts a file behind two symlinks, and each can change. So watching one folder is not enough.

import { lstat, readlink, stat } from 'node:fs/promises'
import path from 'node:path'

// Linux gives up after 40 symlinks.
const MAX_HOPS = 40

export interface DecidingFolder {
  readonly folder: string
  readonly names: ReadonlySet<string>
  /** Changes when the names change, or when another folder replaces this one. */
  readonly key: string
}

interface Entry {
  readonly folder: string
  readonly name: string
}

/** If a part of the path is missing, the last result is the deepest existing folder with the missing name. */
export async function decidingFolders(file: string): Promise<readonly DecidingFolder[]> {
  const namesByFolder = new Map<string, Set<string>>()
  for (const { folder, name } of await decidingEntries(path.resolve(file))) {
    const names = namesByFolder.get(folder) ?? new Set()
    namesByFolder.set(folder, names.add(name))
  }
  return Promise.all(
    [...namesByFolder].map(async ([folder, names]) => ({
      folder,
      names,
      key: JSON.stringify([folder, await folderIdentity(folder), ...names]),
    })),
  )
}

async function decidingEntries(file: string): Promise<readonly Entry[]> {
  const { root } = path.parse(file)
  const entries: Entry[] = []
  let folder = root
  let rest = segments(file.slice(root.length))
  for (let name = rest.shift(); name !== undefined; name = rest.shift()) {
    if (name === '..') {
      folder = path.dirname(folder)
      continue
    }
    const found = await entryAt(path.join(folder, name))
    if (found.kind === 'folder' && rest.length > 0) {
      folder = path.join(folder, name)
      continue
    }
    entries.push({ folder, name })
    if (found.kind !== 'link' || entries.length > MAX_HOPS) break
    const target = path.parse(found.target)
    if (target.root !== '') folder = target.root
    rest = [...segments(found.target.slice(target.root.length)), ...rest]
  }
  return entries
}

function segments(relative: string): string[] {
  return relative.split(path.sep).filter((segment) => segment !== '' && segment !== '.')
}

type Found =
  | { readonly kind: 'folder' }
  | { readonly kind: 'link'; readonly target: string }
  | { readonly kind: 'other' }

async function entryAt(entry: string): Promise<Found> {
  try {
    const stats = await lstat(entry)
    if (stats.isSymbolicLink()) return { kind: 'link', target: await readlink(entry) }
    return { kind: stats.isDirectory() ? 'folder' : 'other' }
  } catch {
    return { kind: 'other' }
  }
}

// Includes the birth time, because a new folder often gets the inode of a removed folder.
async function folderIdentity(folder: string): Promise<string> {
  try {
    const { dev, ino, birthtimeNs } = await stat(folder, { bigint: true })
    return [dev, ino, birthtimeNs].join(':')
  } catch {
    return 'unknown'
  }
}
