// Notices that a file may have changed, by events and by polls.
//
// Polls are needed because events get lost (network file systems, bind mounts, inotify limits).

import { watch, type FSWatcher } from 'chokidar'
import path from 'node:path'
import { errorCode, errorMessage, isLoggedAtReload } from '../errors/errors.ts'
import { createBurst } from './event-burst.ts'
import { shareNextRun } from '../async/in-flight.ts'
import { decidingFolders, type DecidingFolder } from './link-chain.ts'
import { isUnchanged, takeSnapshot, type Snapshot } from './file-snapshot.ts'

export interface FileWatch {
  /** Resolves after the first call of `onSettled`. File events are received from then on. Never rejects. */
  readonly ready: Promise<void>
  check(): Promise<void>
  /** Waits for a running `onSettled`. Afterwards nothing is called and nothing is watched. */
  close(): Promise<void>
}

export interface FileWatchOptions {
  readonly pollMs: number | 'off'
  /** Runs never overlap. If it rejects, every poll calls it again. */
  readonly onSettled: () => Promise<void>
  /** Called once for each distinct error of the watch. */
  readonly onError: (error: unknown) => void
}

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
    // Taken before `onSettled` reads the file, so the next poll notices a change in between.
    const seen = await takeSnapshot(file)
    if (!wasDue && isUnchanged(lastSeen, seen)) return
    lastSeen = (await callOnSettled()) ? seen : undefined
  }

  async function callOnSettled(): Promise<boolean> {
    if (isClosed) return false
    try {
      await onSettled()
      return true
    } catch (error) {
      if (!isLoggedAtReload(error)) onError(error)
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
  // `atomic` would delay removals for 100 ms, and ignore files that are named like temporary files of editors.
  atomic: false,
  // Persistent watchers of one path share a handle, even after another folder replaced the folder.
  persistent: false,
} as const

// A symlink may change while watchers open, so the folders are checked again, up to this limit.
const MAX_FOLLOW_ROUNDS = 5

interface FolderWatches {
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
      // close() removes the listeners. A late error without a listener would end the process.
      watcher.on('error', () => undefined)
      await closing
    }
  }

  function openWatcher(decisive: DecidingFolder): Promise<void> {
    const matters = matcherOf(decisive)
    const watcher = watch(decisive.folder, { ...WATCH_OPTIONS, ignored: (entry) => !matters(entry) })
    watchers.set(decisive.key, watcher)
    watcher.on('all', onEvent)
    // chokidar compares names for `all`, so it does not notice a new folder with the same names.
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

// chokidar reports the removal of a folder as an entry of that folder with the same name.
function matcherOf({ folder, names }: DecidingFolder): (entry: string) => boolean {
  const wanted = new Set([folder, path.join(folder, path.basename(folder))])
  for (const name of names) wanted.add(path.join(folder, name))
  return (entry) => wanted.has(entry)
}

function oncePerReason(onError: (error: unknown) => void): (error: unknown) => void {
  const reported = new Set<string>()
  return (error) => {
    const reason = errorCode(error) ?? errorMessage(error)
    if (reported.has(reason)) return
    reported.add(reason)
    onError(error)
  }
}
