// Refuses files that another user placed in a shared folder.
//
// Threat: in /state of the image (mode 1777) any user can create a file that does not exist yet. A foreign root.key
// would be the key of an attacker, and a foreign freeze.json would hold all pushes. A foreign link could lead to another
// file of the user that runs the sidecar.

import type { BigIntStats, Stats } from 'node:fs'
import { lstat, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
// Not a named import, because Windows has no geteuid.
import thisProcess from 'node:process'
import { InvalidFileError } from '../errors/errors.ts'

const WRITABLE_BY_OTHERS = 0o022

/**
 * Rejects with InvalidFileError. Root is not restricted, because `docker exec -u 0` works on the files of the user that
 * runs the sidecar. Windows has no user ids.
 */
export async function refuseForeign({ uid }: Stats | BigIntStats, file: string): Promise<void> {
  const own = thisProcess.geteuid?.() ?? 0
  if (own === 0) return
  const [link, folder] = await Promise.all([lstat(file), stat(dirname(file))])
  // The owner of the folder can replace all of its files. On some network drives this user owns each new file.
  const trusted = [own, 0, folder.uid]
  const stranger = [Number(uid), link.uid].find((owner) => !trusted.includes(owner))
  if (stranger === undefined || (folder.mode & WRITABLE_BY_OTHERS) === 0) return
  throw new InvalidFileError(
    file,
    `belongs to user ${stranger}, and other users can write to its folder: remove the file if user ${own}, ` +
      `which runs this process, did not write it; otherwise run \`chown -h ${own}\` on it`,
  )
}
