// The users in force: the htpasswd file as a table that follows the file while the process runs.

import { parseHtpasswd, parseHtpasswdInSlices, type UserTable } from './htpasswd.ts'
import { errorCode, InvalidFileError } from '../errors/errors.ts'
import { follow, type Following, type FollowOptions } from '../files/followed-file.ts'
import { isMountPoint } from '../files/mount-point.ts'
import { createReloadable } from '../files/reloadable.ts'
import type { ValueState } from '../files/value-in-force.ts'
import { tellChange } from './user-changes.ts'

export interface Users extends Following {
  readonly file: string
  /** Empty until the file has been read once. */
  readonly table: UserTable
  readonly isLoaded: boolean
  readonly state: ValueState
}

/** What to tell a person whose users file is a mount point. */
export const FILE_MOUNT = {
  text: 'the users file is a mount of its own: when it is replaced outside, the former one stays in force here',
  hint: 'mount its folder (docker: -v ./users:/users, Kubernetes: no subPath): editors, mv and `user` replace files',
} as const

/**
 * Loads and watches the users file. A missing one is waited for; one that cannot be used rejects with
 * InvalidFileError, since at start there is no last good table to live on.
 */
export async function loadUsers({ file, pollMs, log }: FollowOptions): Promise<Users> {
  const nobody = parseHtpasswd(Buffer.alloc(0), file)
  const parse = (bytes: Buffer) => parseHtpasswdInSlices(bytes, file)
  const users = createReloadable({
    file,
    parse,
    initial: nobody,
    log,
    mayAppearLater: true,
    logChange: (next, previous) => tellChange(log, { file, next, previous }),
  })
  await users.reload().catch((error: unknown) => {
    if (!(error instanceof InvalidFileError && errorCode(error.cause) === 'ENOENT')) throw error
  })
  if (await isMountPoint(file)) log.warn({ file, hint: FILE_MOUNT.hint }, FILE_MOUNT.text)
  const following = await follow(users, { file, pollMs, log })
  return {
    file,
    get table() {
      return users.current
    },
    get isLoaded() {
      return users.current !== nobody
    },
    get state() {
      return users.state
    },
    ...following,
  }
}
