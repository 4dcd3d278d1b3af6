import { readFile, realpath, stat } from 'node:fs/promises'
import path from 'node:path'

const MOUNT_TABLE = '/proc/self/mountinfo'

/**
 * Whether `file`, through symlinks, is a mount of its own, as `docker run -v FILE:FILE` and a Kubernetes `subPath` make
 * one. Such a mount holds on to the one file it was made of: when that is replaced where it came from, this side keeps
 * the former one, and nothing here can tell. False for a file that is missing.
 */
export async function isMountPoint(file: string, mountTable = MOUNT_TABLE): Promise<boolean> {
  const target = await realpath(file).catch(() => undefined)
  if (target === undefined) return false
  const table = await readFile(mountTable, 'utf8').catch(() => undefined)
  return table === undefined ? isOnOtherDevice(target) : mountPointsIn(table).has(target)
}

/** The mount points that a mountinfo text names (proc_pid_mountinfo(5), fifth field). */
export function mountPointsIn(mountinfo: string): ReadonlySet<string> {
  const fields = mountinfo.split('\n').map((line) => line.split(' ')[4])
  return new Set(fields.filter((field) => field !== undefined).map(unescapeOctal))
}

// The kernel writes blanks, tabs, line feeds and backslashes as \040 and the like, to keep the fields apart.
function unescapeOctal(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(parseInt(digits, 8)))
}

// For systems without a mount table only. A mount out of the same file system does not show here, and where file
// systems are stacked (overlay) a file may seem to be on another device than its folder without being a mount.
async function isOnOtherDevice(file: string): Promise<boolean> {
  const [own, folder] = await Promise.all([stat(file), stat(path.dirname(file))])
  return own.dev !== folder.dev
}
