// Creates a watched file in its own folder, and records the values that come into force.

import { mkdir, mkdtemp, realpath, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { InvalidFileError } from '../../src/errors/errors.ts'
import { createReloadable, type Reloadable } from '../../src/files/reloadable.ts'
import { watchFile, type FileWatch } from '../../src/files/watch.ts'
import { until } from '../fixtures/until.ts'

export interface WatchedFile {
  /** The temporary folder with all paths of this test. */
  readonly base: string
  readonly file: string
  readonly value: Reloadable<string>
  readonly watch: FileWatch
  /** Every value that was in force, in order. */
  readonly seen: readonly string[]
  /** How often the watch asked for a reload. */
  readonly looks: () => number
  readonly errors: readonly unknown[]
  /** Resolves to the milliseconds until `content` is in force. */
  readonly becomes: (content: string, deadlineMs?: number) => Promise<number>
  readonly remove: () => Promise<void>
}

export interface WatchedFileOptions {
  readonly pollMs: number | 'off'
  /** Creates the file before the watch starts, and returns its path in `base`. */
  readonly prepare: (base: string) => Promise<string>
}

/** Invalid content. */
export const GARBAGE = 'garbage'

export async function createWatchedFile({ pollMs, prepare }: WatchedFileOptions): Promise<WatchedFile> {
  const base = await realpath(await mkdtemp(path.join(tmpdir(), 'reload-')))
  const file = path.resolve(base, await prepare(base))
  const seen: string[] = []
  const errors: unknown[] = []
  let looks = 0
  const value = createReloadable({ file, parse: parseText, initial: 'initial' })
  value.onChange((next) => {
    seen.push(next)
  })
  const watch = watchFile(file, {
    pollMs,
    onSettled: async () => {
      looks++
      await value.reload()
    },
    onError: (error) => errors.push(error),
  })
  await watch.ready
  return {
    base,
    file,
    value,
    watch,
    seen,
    errors,
    looks: () => looks,
    becomes: (content, deadlineMs = 5000) =>
      until(() => value.current === content, {
        deadlineMs,
        what: `the value is ${content}, it is ${value.current}`,
      }),
    remove: async () => {
      await watch.close()
      await rm(base, { recursive: true, force: true })
    },
  }
}

/** Creates the file with content `old`, in its own folder. */
export async function plainFile(base: string): Promise<string> {
  await mkdir(path.join(base, 'users'))
  await writeFile(path.join(base, 'users', 'htpasswd'), 'old')
  return 'users/htpasswd'
}

function parseText(bytes: Buffer): string {
  const text = bytes.toString()
  if (text.startsWith(GARBAGE)) throw new InvalidFileError('htpasswd', 'is garbage')
  return text
}
