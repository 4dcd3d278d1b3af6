// Reloads a value when its file changes, and on demand.

import { shareNextRun } from '../async/in-flight.ts'
import type { Log } from '../observability/log.ts'
import type { Reloadable } from './reloadable.ts'
import { watchFile } from './watch.ts'

export interface Following {
  reload(): Promise<void>
  /** Waits for a running reload. Afterwards the file is neither watched nor read. */
  close(): Promise<void>
}

export interface FollowOptions {
  readonly file: string
  readonly pollMs: number | 'off'
  readonly log: Log
}

export async function follow<T>(
  value: Pick<Reloadable<T>, 'reload'>,
  { file, pollMs, log }: FollowOptions,
): Promise<Following> {
  let isClosed = false
  const reload = shareNextRun(async () => {
    if (!isClosed) await value.reload()
  })
  const watch = watchFile(file, { pollMs, onSettled: reload, onError: logWatchErrors(file, log) })
  await watch.ready
  return {
    reload,
    async close() {
      isClosed = true
      await watch.close()
      // A signal may have started a reload that the watch does not wait for. That reload must not log after close().
      await reload()
    },
  }
}

/**
 * Rejects if the first load fails; then the file is not followed. Errors that `mayFail` accepts do not count.
 * The watch begins before the first load, so that one load at the start is enough.
 */
export async function loadAndFollow<T>(
  value: Pick<Reloadable<T>, 'reload'>,
  { mayFail = () => false, ...options }: FollowOptions & { readonly mayFail?: (error: unknown) => boolean },
): Promise<Following> {
  let isFirst = true
  const failures: unknown[] = []
  const reload = async () => {
    try {
      return await value.reload()
    } catch (error) {
      if (isFirst && !mayFail(error)) failures.push(error)
      throw error
    } finally {
      isFirst = false
    }
  }
  const following = await follow({ reload }, options)
  if (failures.length === 0) return following
  await following.close()
  throw failures[0]
}

export function logWatchErrors(file: string, log: Log): (error: unknown) => void {
  return (error) => {
    log.error({ event: 'watch-failed', file, err: error }, 'watching this file failed; it is polled instead')
  }
}
