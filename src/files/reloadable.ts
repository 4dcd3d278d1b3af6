// Reads a file into a value in force.

import { createHash } from 'node:crypto'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { errorCode, errorMessage, InvalidFileError } from '../errors/errors.ts'
import type { Log } from '../observability/log.ts'
import { shareNextRun } from '../async/in-flight.ts'
import type { FileCheck } from './regular-file.ts'
import { readSettled } from './settled-file.ts'
import { createValueInForce, type InForce, type ValueInForceOptions } from './value-in-force.ts'

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
  /**
   * The result must depend only on the bytes and, if content can expire, on the clock.
   * Rejects with InvalidFileError if the content is invalid. After any other error, the same content is parsed again.
   */
  readonly parse: (bytes: Buffer) => T | Promise<T>
  readonly log?: Log
  readonly check?: FileCheck
  /** Then a missing file is no error, unless the file existed before. */
  readonly mayAppearLater?: boolean
}

export function createReloadable<T>(options: ReloadableOptions<T>): Reloadable<T> {
  const { file, parse, log, check, mayAppearLater = false } = options
  const value = createValueInForce({
    ...options,
    initialState: { kind: 'stale', reason: 'not read yet' },
    logRecovery: () => log?.info({ event: 'file-usable-again', file }, 'file can be used again'),
  })
  let acceptedHash: string | undefined
  let refused: Required<Failure> | undefined
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
    const bytes = await readSettled(file, check).catch((error: unknown) => {
      throw fail({ hash: 'unread', error: asInvalidFile(file, error) })
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
    const start = performance.now()
    if (refused?.hash === hash && start < refused.until) throw refused.error
    try {
      return await parse(bytes)
    } catch (error) {
      throw fail(
        error instanceof InvalidFileError ? { hash, error } : transient(error, { file, hash, start }),
      )
    }
  }

  function fail({ hash, error, until = Infinity }: Failure): InvalidFileError {
    const isTransient = until < Infinity
    const isNotYetThere = mayAppearLater && !wasSeen && errorCode(error.cause) === 'ENOENT'
    const report = {
      key: `${hash} ${error.reason}`,
      isTransient,
      log: failureLog(log, { error, isTransient }),
    }
    value.fail(error.publicReason, isNotYetThere ? undefined : report)
    if (isNotYetThere) return error
    wasSeen = true
    refused = { hash, error, until }
    return error
  }
}

interface LoggedFailure {
  readonly error: InvalidFileError
  readonly isTransient: boolean
}

function failureLog(
  log: Log | undefined,
  { isTransient, error: { file, reason } }: LoggedFailure,
): () => void {
  const hint = isTransient ? { hint: HINT } : {}
  return () => log?.error({ event: 'file-not-loaded', file, reason, ...hint }, NOT_LOADED)
}

interface Failure {
  readonly hash: string
  readonly error: InvalidFileError
  /** In the time of `performance.now()`. Until then, the same content fails without another parse. */
  readonly until?: number
}

interface Attempt {
  readonly file: string
  readonly hash: string
  readonly start: number
}

// Threat: if one lack of memory or threads refused a content for good, a revoked user would keep access.
// Threat: a hostile content may take 10 s for each attempt. So the pause grows with the time that the attempt took.
const PAUSE_FACTOR = 5

function transient(cause: unknown, { file, hash, start }: Attempt): Failure {
  const now = performance.now()
  const error = new InvalidFileError(file, errorMessage(cause), { cause, publicReason: TRIED_AGAIN })
  return { hash, error, until: now + PAUSE_FACTOR * (now - start) }
}

const TRIED_AGAIN = 'the file could not be loaded; it is tried again'
const HINT = 'the content may be correct, and is tried again; the reason says what failed'
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
