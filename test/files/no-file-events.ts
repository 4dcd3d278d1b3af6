import { EventEmitter } from 'node:events'
import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'

/**
 * Makes every new watch of this process one that never hears of anything, as on a network file system, so that polls
 * alone notice changes. Returns what undoes it.
 */
export function withoutFileEvents(): () => void {
  const { watch } = fs
  fs.watch = (() => Object.assign(new EventEmitter(), silentWatch)) as unknown as typeof watch
  syncBuiltinESMExports()
  return () => {
    fs.watch = watch
    syncBuiltinESMExports()
  }
}

const silentWatch = {
  close(): void {
    // Nothing was opened.
  },
  ref() {
    return this
  },
  unref() {
    return this
  },
}
