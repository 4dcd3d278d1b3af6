import { EventEmitter } from 'node:events'
import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'

/**
 * Makes every new watch of this process miss all events, as on a network file system. Only polls then notice changes.
 * Returns a function that undoes this.
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
    // No watch was opened.
  },
  ref() {
    return this
  },
  unref() {
    return this
  },
}
