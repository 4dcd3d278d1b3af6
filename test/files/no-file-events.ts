import { EventEmitter } from 'node:events'
import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'

/**
 * Makes every new watch of this process miss all events, as on a network file system. Only polls then notice changes.
 * Returns a function that undoes this.
 */
export function withoutFileEvents(): () => void {
  return replaceWatch(() => Object.assign(new EventEmitter(), silentWatch))
}

/** Makes every new watch of this process fail as if inotify had no watches left. Returns a function that undoes this. */
export function withFailingWatches(): () => void {
  return replaceWatch(() => {
    throw Object.assign(new Error('no inotify watches left'), { code: 'ENOSPC' })
  })
}

function replaceWatch(replacement: () => EventEmitter): () => void {
  const { watch } = fs
  fs.watch = replacement as unknown as typeof watch
  syncBuiltinESMExports()
  return () => {
    fs.watch = watch
    syncBuiltinESMExports()
  }
}

const silentWatch = {
  close(): void {
    // No watch was opened.
  },
  ref() {
    return this
  },
  unref() {
    return this
  },
}
