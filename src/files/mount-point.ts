// Recognizes bind-mounted files.

import { readFile, realpath, stat } from 'node:fs/promises'
import path from 'node:path'

const MOUNT_TABLE = '/proc/self/mountinfo'

/**
 * Whether `file`, through symlinks, is a mount point, as with `docker run -v FILE:FILE` and a Kubernetes `subPath`. Such a
 * mount stays with its inode: when the file is replaced on the host, the previous file stays visible here. False for a
 * missing file.
 */
export async function isMountPoint(file: string, mountTable = MOUNT_TABLE): Promise<boolean> {
  const target = await realpath(file).catch(() => undefined)
  if (target === undefined) return false
  const table = await readFile(mountTable, 'utf8').catch(() => undefined)
  return table === undefined ? isOnOtherDevice(target) : mountPointsIn(table).has(target)
}

/** The mount points in a mountinfo text (proc_pid_mountinfo(5), fifth field). */
export function mountPointsIn(mountinfo: string): ReadonlySet<string> {
  const fields = mountinfo.split('\n').map((line) => line.split(' ')[4])
  return new Set(fields.filter((field) => field !== undefined).map(unescapeOctal))
}

// The kernel escapes blanks, tabs, line feeds and backslashes, as in \040.
function unescapeOctal(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(parseInt(digits, 8)))
}

// Only for systems without a mount table. It does not notice a mount from the same file system. On stacked file systems
// (overlay) a file may have another device than its folder without being a mount.
async function isOnOtherDevice(file: string): Promise<boolean> {
  const [own, folder] = await Promise.all([stat(file), stat(path.dirname(file))])
  return own.dev !== folder.dev
}
