// Loads and follows the users file.

import { parseHtpasswd, parseHtpasswdInSlices } from './htpasswd.ts'
import type { UserTable } from './user-table.ts'
import { errorCode, InvalidFileError } from '../errors/errors.ts'
import { loadAndFollow, type Following, type FollowOptions } from '../files/followed-file.ts'
import { isMountPoint } from '../files/mount-point.ts'
import { createReloadable } from '../files/reloadable.ts'
import type { Loads, ValueState } from '../files/value-in-force.ts'
import { startExpiryLog } from './machine-passwords/machine-password-expiry.ts'
import { logUserChanges } from './user-changes.ts'

export interface Users extends Following {
  readonly file: string
  readonly table: UserTable
  readonly isLoaded: boolean
  readonly state: ValueState
  readonly loads: Loads
}

export const FILE_MOUNT = {
  text: 'the users file is a bind-mounted file: replacing it on the host has no effect here',
  hint: 'mount the folder of the file (docker: -v ./users:/users, Kubernetes: no subPath), because editors, mv and `registry-sidecar user` write a new file in its place',
} as const

/** Waits for a missing file. Rejects if the file is unusable, because there is no earlier table to keep. */
export async function loadUsers({ file, pollMs, log }: FollowOptions): Promise<Users> {
  const nobody = parseHtpasswd(Buffer.alloc(0), file)
  let isStart = true
  const parse = (bytes: Buffer) => parseHtpasswdInSlices(bytes, file)
  const users = createReloadable({
    file,
    parse,
    initial: nobody,
    log,
    mayAppearLater: true,
    logChange: (next, previous) => logUserChanges(log, { file, next, previous, isStart }),
  })
  const mayFail = (error: unknown) => error instanceof InvalidFileError && errorCode(error.cause) === 'ENOENT'
  const following = await loadAndFollow(users, { file, pollMs, log, mayFail })
  isStart = false
  if (await isMountPoint(file)) log.warn({ event: 'file-is-bind-mounted', file, hint: FILE_MOUNT.hint }, FILE_MOUNT.text)
  const expiryLog = startExpiryLog({ file, current: () => users.current.machinePasswords, log })
  users.onChange(() => {
    expiryLog.look()
  })
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
    loads: users.loads,
    reload: () => following.reload(),
    close: async () => {
      expiryLog.close()
      await following.close()
    },
  }
}
