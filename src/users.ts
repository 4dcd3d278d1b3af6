// The users in force: the htpasswd file as a table that follows the file while the process runs.

import { parseHtpasswd, type UserTable } from './auth/htpasswd.ts'
import { errorCode, InvalidFileError } from './errors.ts'
import type { Log } from './log.ts'
import { createReloadable, type FileState } from './reload/reloadable.ts'
import { watchFile } from './reload/watch.ts'

export interface Users {
  readonly file: string
  /** Empty until the file has been read once. */
  readonly table: UserTable
  readonly isLoaded: boolean
  readonly state: FileState
  /** Reads the file again. Rejects with InvalidFileError, and keeps the last good table, when it is no good. */
  reload(): Promise<void>
  close(): Promise<void>
}

export interface UsersOptions {
  readonly file: string
  readonly pollMs: number | 'off'
  readonly log: Log
}

/**
 * Loads and watches the users file. A missing one is waited for; one that cannot be used rejects with
 * InvalidFileError, since at start there is no last good table to live on.
 */
export async function loadUsers({ file, pollMs, log }: UsersOptions): Promise<Users> {
  const nobody = parseHtpasswd(Buffer.alloc(0), file)
  const users = createReloadable({ file, parse: (bytes) => parseHtpasswd(bytes, file), initial: nobody, log })
  users.onChange((next, previous) => {
    tellChange(log, { file, next, previous })
  })
  await users.reload().catch((error: unknown) => {
    if (!(error instanceof InvalidFileError && errorCode(error.cause) === 'ENOENT')) throw error
  })
  const watch = watchFile(file, {
    pollMs,
    onSettled: async () => {
      await users.reload()
    },
    onError: (error) => {
      log.error({ file, err: error }, 'watching this file met an error; its polls go on')
    },
  })
  await watch.ready
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
    reload: async () => {
      await users.reload()
    },
    close: () => watch.close(),
  }
}

interface Change {
  readonly file: string
  readonly next: UserTable
  readonly previous: UserTable
}

function tellChange(log: Log, { file, next, previous }: Change): void {
  const names = [...next.entries.keys()]
  const added = names.filter((name) => !previous.entries.has(name))
  const removed = [...previous.entries.keys()].filter((name) => !next.entries.has(name))
  const changed = names.filter((name) => {
    const before = previous.entries.get(name)
    return before !== undefined && before.hash !== next.entries.get(name)?.hash
  })
  log.info({ file, users: names.length, added, removed, changed }, 'users in force')
  for (const { line, reason } of next.problems)
    log.warn({ file, line, reason }, 'line of the users file skipped')
  if (names.length === 0) log.warn({ file }, 'the users file has no users: nobody gets in')
}
