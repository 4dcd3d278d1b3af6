// Recognizes bind-mounted files.

import { readFile, realpath, stat } from 'node:fs/promises'
import path from 'node:path'

const MOUNT_TABLE = '/proc/self/mountinfo'

/** After the host replaces a bind-mounted file, the previous file stays visible here. */
export async function isMountPoint(file: string, mountTable = MOUNT_TABLE): Promise<boolean> {
  const target = await realpath(file).catch(() => undefined)
  if (target === undefined) return false
  const table = await readFile(mountTable, 'utf8').catch(() => undefined)
  return table === undefined ? isOnOtherDevice(target) : mountPointsIn(table).has(target)
}

/** Reads the fifth field of a mountinfo text (proc_pid_mountinfo(5)). */
export function mountPointsIn(mountinfo: string): ReadonlySet<string> {
  const fields = mountinfo.split('\n').map((line) => line.split(' ')[4])
  return new Set(fields.filter((field) => field !== undefined).map(unescapeOctal))
}

// The kernel escapes blanks, tabs, line feeds and backslashes, as in \040.
function unescapeOctal(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(parseInt(digits, 8)))
}

// Only for systems without a mount table. This check misses mounts from the same file system, and overlays confuse it.
async function isOnOtherDevice(file: string): Promise<boolean> {
  const [target, folder] = await Promise.all([stat(file), stat(path.dirname(file))])
  return target.dev !== folder.dev
}
