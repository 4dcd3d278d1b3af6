// Reads a file into a value in force.

import { createHash } from 'node:crypto'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { errorCode, errorMessage, InvalidFileError } from '../errors/errors.ts'
import type { Log } from '../observability/log.ts'
import { shareNextRun } from '../async/in-flight.ts'
import { readSettled } from './settled-file.ts'
import {
  createValueInForce,
  type FailureReport,
  type InForce,
  type ValueInForceOptions,
} from './value-in-force.ts'

/** Until the first valid content, `current` is `initial` and the state is stale. */
export interface Reloadable<T> extends InForce<T> {
  /** Rejects with InvalidFileError if the file is unusable, or with NotAppliedError. Calls run one after the other. */
  readonly reload: () => Promise<'changed' | 'unchanged'>
}

export interface ReloadableOptions<T> extends Pick<
  ValueInForceOptions<T>,
  'initial' | 'isSame' | 'logChange'
> {
  readonly file: string
  /** The result must depend only on the bytes and, if content can expire, on the clock. */
  readonly parse: (bytes: Buffer) => T | Promise<T>
  readonly log?: Log
  /** Then a missing file is no error, unless the file existed before. */
  readonly mayAppearLater?: boolean
}

export function createReloadable<T>(options: ReloadableOptions<T>): Reloadable<T> {
  const { file, parse, log, mayAppearLater = false } = options
  const value = createValueInForce({
    ...options,
    initialState: { kind: 'stale', reason: 'not read yet' },
    logRecovery: () => log?.info({ event: 'file-usable-again', file }, 'file can be used again'),
  })
  let acceptedHash: string | undefined
  let refused: { readonly hash: string; readonly error: InvalidFileError } | undefined
  let wasSeen = false

  return {
    get current() {
      return value.current
    },
    get state() {
      return value.state
    },
    loads: value.loads,
    onChange: value.onChange,
    reload: shareNextRun(load),
  }

  async function load(): Promise<'changed' | 'unchanged'> {
    const bytes = await readSettled(file).catch((error: unknown) => {
      throw fail(error, 'unread')
    })
    const hash = await digestOf(bytes)
    const isUnchanged = hash === acceptedHash
    const next = isUnchanged ? value.current : await parsed(bytes, hash)
    // Set after parsing, because content that failed must not count as loaded the next time.
    acceptedHash = hash
    refused = undefined
    wasSeen = true
    await value.publish(next)
    return isUnchanged ? 'unchanged' : 'changed'
  }

  async function parsed(bytes: Buffer, hash: string): Promise<T> {
    if (refused?.hash === hash) throw refused.error
    try {
      return await parse(bytes)
    } catch (error) {
      throw fail(error, hash)
    }
  }

  function fail(cause: unknown, hash: string): InvalidFileError {
    const error = asInvalidFile(file, cause)
    const { reason, publicReason } = error
    const isNotYetThere = mayAppearLater && !wasSeen && errorCode(error.cause) === 'ENOENT'
    const report: FailureReport = {
      key: `${hash} ${reason}`,
      log: () => log?.error({ event: 'file-not-loaded', file, reason }, NOT_LOADED),
    }
    value.fail(publicReason, isNotYetThere ? undefined : report)
    if (isNotYetThere) return error
    wasSeen = true
    refused = { hash, error }
    return error
  }
}

const NOT_LOADED = 'file not loaded; the previous version stays in use'

// Hashing a slice takes about 3 ms. Hashing the largest file at once would block the event loop for over 40 ms.
const SLICE_BYTES = 4 * 1024 * 1024

async function digestOf(bytes: Buffer): Promise<string> {
  const hash = createHash('sha256')
  for (let start = 0; start < bytes.length; start += SLICE_BYTES) {
    if (start > 0) await nextTurn()
    hash.update(bytes.subarray(start, start + SLICE_BYTES))
  }
  return hash.digest('hex')
}

function asInvalidFile(file: string, error: unknown): InvalidFileError {
  return error instanceof InvalidFileError
    ? error
    : new InvalidFileError(file, errorMessage(error), { cause: error })
}
