// Notices that a file may have changed: by file events and, because those get lost (network file systems, bind mounts,
// inotify limits), by looking at it now and then.
//
// The only file that imports chokidar. It decides when to look; whether the content holds still and is other than
// before is for `onSettled` to find out.

import { watch, type FSWatcher } from 'chokidar'
import path from 'node:path'
import { errorCode, errorMessage, InvalidFileError } from '../errors/errors.ts'
import { createBurst } from './event-burst.ts'
import { shareNextRun } from '../async/in-flight.ts'
import { decidingFolders, type DecidingFolder } from './link-chain.ts'
import { isUnchanged, takeSnapshot, type Snapshot } from './file-snapshot.ts'

export interface FileWatch {
  /** Resolves once events are listened for and `onSettled` was called for the first time. Never rejects. */
  readonly ready: Promise<void>
  /** Calls `onSettled` without waiting for an event. Resolves when that is over, whatever came of it. */
  check(): Promise<void>
  /** Waits for a call of `onSettled` under way. Afterwards nothing is called and nothing is watched. */
  close(): Promise<void>
}

export interface FileWatchOptions {
  /** How often to look without events, in milliseconds. */
  readonly pollMs: number | 'off'
  /**
   * Called at the start, after a burst of changes and after a poll that found something else than before; never twice
   * at a time. When it rejects, every poll calls it again. Rejecting with InvalidFileError says that whoever has to
   * know was told already.
   */
  readonly onSettled: () => Promise<void>
  /** Told of everything else that goes wrong; of watches that fail once per reason. */
  readonly onError: (error: unknown) => void
}

/**
 * Watches the folder of `file` and, when symlinks lead there, the folder of each of them, as they are after each
 * change. Folders may be missing, vanish and come back.
 */
export function watchFile(file: string, { pollMs, onSettled, onError }: FileWatchOptions): FileWatch {
  let isClosed = false
  let isDue = true
  let lastSeen: Snapshot | undefined
  const look = shareNextRun(lookOnce)
  const burst = createBurst(() => void check())
  const folders = createFolderWatches(file, { onEvent: burst.extend, onError: oncePerReason(onError) })
  const poll = pollMs === 'off' ? undefined : setInterval(() => void look(), pollMs).unref()

  return { ready: look(), check, close }

  function check(): Promise<void> {
    isDue = true
    return look()
  }

  async function lookOnce(): Promise<void> {
    const wasDue = isDue
    isDue = false
    if (isClosed) return
    await folders.follow()
    // Taken before the content is read: a change in between shows in the next poll.
    const seen = await takeSnapshot(file)
    if (!wasDue && isUnchanged(lastSeen, seen)) return
    lastSeen = (await settle()) ? seen : undefined
  }

  async function settle(): Promise<boolean> {
    if (isClosed) return false
    try {
      await onSettled()
      return true
    } catch (error) {
      if (!(error instanceof InvalidFileError)) onError(error)
      return false
    }
  }

  async function close(): Promise<void> {
    isClosed = true
    clearInterval(poll)
    burst.cancel()
    await look()
    await folders.close()
  }
}

const WATCH_OPTIONS = {
  depth: 0,
  ignoreInitial: true,
  followSymlinks: false,
  // Would hold back removals for 100 ms, and ignore files whose names look like an editor's.
  atomic: false,
  // Persistent watchers of one folder share one handle per process. After the folder was replaced by another, each of
  // them would hand the others the handle on the old one.
  persistent: false,
} as const

// Opening takes time in which a symlink may be repointed, so it is looked at again, but not for ever.
const MAX_FOLLOW_ROUNDS = 5

interface FolderWatches {
  /** Makes the watched folders those that decide now what the file is. */
  follow(): Promise<void>
  close(): Promise<void>
}

interface FolderWatchesOptions {
  readonly onEvent: () => void
  readonly onError: (error: unknown) => void
}

function createFolderWatches(file: string, { onEvent, onError }: FolderWatchesOptions): FolderWatches {
  const watchers = new Map<string, FSWatcher>()
  return { follow, close: () => closeAllBut(new Set()) }

  async function follow(): Promise<void> {
    for (let round = 0; round < MAX_FOLLOW_ROUNDS; round++) {
      const wanted = await decidingFolders(file)
      await closeAllBut(new Set(wanted.map(({ key }) => key)))
      const added = wanted.filter(({ key }) => !watchers.has(key))
      if (added.length === 0) return
      await Promise.all(added.map(openWatcher))
    }
  }

  async function closeAllBut(wanted: ReadonlySet<string>): Promise<void> {
    for (const [key, watcher] of watchers) {
      if (wanted.has(key)) continue
      watchers.delete(key)
      const closing = watcher.close()
      // Closing took the listeners off; an error that comes late and finds none would end the process.
      watcher.on('error', () => undefined)
      await closing
    }
  }

  function openWatcher(decisive: DecidingFolder): Promise<void> {
    const matters = matcherOf(decisive)
    const watcher = watch(decisive.folder, { ...WATCH_OPTIONS, ignored: (entry) => !matters(entry) })
    watchers.set(decisive.key, watcher)
    watcher.on('all', onEvent)
    // `all` comes from comparing names with those known before, which does not show a folder replaced by its like.
    watcher.on('raw', (_event, name: string | null) => {
      if (name === null || matters(path.join(decisive.folder, name))) onEvent()
    })
    return new Promise((resolve) => {
      watcher.once('ready', resolve).on('error', (error) => {
        onError(error)
        resolve()
      })
    })
  }
}

// A folder's own removal is reported under its own name, as if it were an entry of itself.
function matcherOf({ folder, names }: DecidingFolder): (entry: string) => boolean {
  const wanted = new Set([folder, path.join(folder, path.basename(folder))])
  for (const name of names) wanted.add(path.join(folder, name))
  return (entry) => wanted.has(entry)
}

function oncePerReason(onError: (error: unknown) => void): (error: unknown) => void {
  const told = new Set<string>()
  return (error) => {
    const reason = errorCode(error) ?? errorMessage(error)
    if (told.has(reason)) return
    told.add(reason)
    onError(error)
  }
}
