// A file as a value that changes while the process runs.
//
// `current` has always passed `parse`. A reload that fails leaves it alone and says so in `state`.

import { createHash } from 'node:crypto'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { errorCode, errorMessage, InvalidFileError } from '../errors/errors.ts'
import type { Log } from '../observability/log.ts'
import { shareNextRun } from '../async/in-flight.ts'
import { readSettled } from './settled-file.ts'

/** Whether `current` is what the file says now. `stale` before the first reload too. The reason repeats no username. */
export type FileState = { readonly kind: 'fresh' } | { readonly kind: 'stale'; readonly reason: string }

export interface Reloadable<T> {
  /** What `parse` made of the last good content; `initial` until there was one. */
  readonly current: T
  readonly state: FileState
  /**
   * Reads the file again; equal bytes are `unchanged`, and not parsed. Rejects with InvalidFileError when the file
   * cannot be read or parsed; then nothing but `state` has changed. Calls run one after the other, so that what was
   * read earlier never replaces what was read later.
   */
  readonly reload: () => Promise<'changed' | 'unchanged'>
  /**
   * `listener` is called after every swap, and the reload lasts as long as it does. When it throws or rejects,
   * `reload()` rejects although the swap took place.
   */
  readonly onChange: (listener: ChangeListener<T>) => void
}

export type ChangeListener<T> = (next: T, previous: T) => void | Promise<void>

export interface ReloadableOptions<T> {
  readonly file: string
  /**
   * Must depend on the bytes alone, and on the clock for what has ended. Whatever it throws or rejects with means that the content is refused. A promise
   * lets it take its time: until it is fulfilled, the value before stays in force and no other reload begins.
   */
  readonly parse: (bytes: Buffer) => T | Promise<T>
  readonly initial: T
  readonly log?: Log
  /** A file that does not exist yet is no error then. One that was there and is gone is an error all the same. */
  readonly mayAppearLater?: boolean
}

/** A value that `reload()` takes from `file`. Reads nothing by itself. */
export function createReloadable<T>(options: ReloadableOptions<T>): Reloadable<T> {
  const { file, parse, initial } = options
  const standing = createStanding(options)
  const listeners: ChangeListener<T>[] = []
  let current = initial
  let acceptedHash: string | undefined

  return {
    get current() {
      return current
    },
    get state() {
      return standing.state
    },
    reload: shareNextRun(load),
    onChange: (listener) => {
      listeners.push(listener)
    },
  }

  async function load(): Promise<'changed' | 'unchanged'> {
    const bytes = await readSettled(file).catch((error: unknown) => {
      throw standing.fail(error, 'unread')
    })
    const hash = await digestOf(bytes)
    if (hash !== acceptedHash) {
      await accept(hash, await parsed(bytes, hash))
      return 'changed'
    }
    standing.recovered()
    return 'unchanged'
  }

  async function parsed(bytes: Buffer, hash: string): Promise<T> {
    const refusal = standing.refusalOf(hash)
    if (refusal !== undefined) throw refusal
    try {
      return await parse(bytes)
    } catch (error) {
      throw standing.fail(error, hash)
    }
  }

  // The hash is remembered here, after parsing: stored any earlier, content that failed once would count as loaded
  // the next time.
  async function accept(hash: string, next: T): Promise<void> {
    const previous = current
    current = next
    acceptedHash = hash
    standing.recovered()
    for (const listener of listeners) await listener(next, previous)
  }
}

// About 3 ms of hashing. The largest file we read would hold up the event loop for over 40 ms at a stretch, and
// WebCrypto, which hashes in another thread, as long for the copy that it makes first.
const SLICE_BYTES = 4 * 1024 * 1024

async function digestOf(bytes: Buffer): Promise<string> {
  const hash = createHash('sha256')
  for (let start = 0; start < bytes.length; start += SLICE_BYTES) {
    if (start > 0) await nextTurn()
    hash.update(bytes.subarray(start, start + SLICE_BYTES))
  }
  return hash.digest('hex')
}

interface Standing {
  readonly state: FileState
  readonly recovered: () => void
  /** `hash` is that of the content that was refused. The same failure again is not logged again. */
  readonly fail: (error: unknown, hash: string) => InvalidFileError
  /** Why the content was refused the last time, when it is the same as then. */
  readonly refusalOf: (hash: string) => InvalidFileError | undefined
}

function createStanding({
  file,
  log,
  mayAppearLater = false,
}: Omit<ReloadableOptions<unknown>, 'parse'>): Standing {
  let wasSeen = false
  let state: FileState = { kind: 'stale', reason: 'not read yet' }
  let failure: { readonly hash: string; readonly error: InvalidFileError } | undefined

  return {
    get state() {
      return state
    },
    recovered() {
      if (failure !== undefined) log?.info({ file }, 'file can be used again')
      failure = undefined
      wasSeen = true
      state = { kind: 'fresh' }
    },
    fail(cause, hash) {
      const error = asInvalidFile(file, cause)
      state = { kind: 'stale', reason: error.publicReason }
      const isMissing = errorCode(error.cause) === 'ENOENT'
      if (isMissing && mayAppearLater && !wasSeen) return error
      wasSeen = true
      const isNews = failure?.hash !== hash || failure.error.reason !== error.reason
      if (isNews) log?.error({ file, reason: error.reason }, 'file not loaded; what was in force stays')
      failure = { hash, error }
      return error
    },
    refusalOf: (hash) => (failure?.hash === hash ? failure.error : undefined),
  }
}

function asInvalidFile(file: string, error: unknown): InvalidFileError {
  return error instanceof InvalidFileError
    ? error
    : new InvalidFileError(file, errorMessage(error), { cause: error })
}
