// How the files of a certificate stand: as they should, halfway replaced, or no good; and who has been told.

import type { InvalidFileError } from '../errors.ts'
import type { Log } from '../log.ts'
import type { FileState } from '../reload/reloadable.ts'

export interface PairStanding {
  readonly state: FileState
  /** How many faults have been told. */
  readonly failed: number
  /** The files are good. */
  readonly mend: () => void
  /** A file is no good. Tells so, unless it was told just that before. Returns the error, for throwing. */
  readonly fail: (error: InvalidFileError) => InvalidFileError
  /** Files do not belong together, as in the midst of a replacement. The same, once that has lasted. */
  readonly suspect: (error: InvalidFileError) => InvalidFileError
  readonly close: () => void
}

export interface PairStandingOptions {
  readonly log: Log
  /** How long a mismatch may last before it is told. */
  readonly patienceMs: number
  /** To look again: the mismatch may have lasted, and no file may change any more. */
  readonly onPatienceOver: () => void
}

export function createPairStanding({ log, patienceMs, onPatienceOver }: PairStandingOptions): PairStanding {
  let state: FileState = { kind: 'fresh' }
  let told: string | undefined
  let suspicion: { readonly since: number; readonly timer: NodeJS.Timeout } | undefined
  let failed = 0
  let isClosed = false

  return {
    get state() {
      return state
    },
    get failed() {
      return failed
    },
    mend() {
      endSuspicion()
      if (told !== undefined) log.info('certificate and key can be used again')
      told = undefined
      state = { kind: 'fresh' }
    },
    fail(error) {
      endSuspicion()
      return tell(error)
    },
    suspect(error) {
      if (isClosed) return error
      suspicion ??= { since: performance.now(), timer: setTimeout(onPatienceOver, patienceMs) }
      return performance.now() - suspicion.since >= patienceMs ? tell(error) : error
    },
    close() {
      isClosed = true
      endSuspicion()
    },
  }

  function tell(error: InvalidFileError): InvalidFileError {
    const { file, reason, message } = error
    if (told !== message) {
      failed += 1
      log.error({ file, reason }, 'certificate not replaced; the one in force stays')
    }
    told = message
    state = { kind: 'stale', reason: message }
    return error
  }

  function endSuspicion(): void {
    clearTimeout(suspicion?.timer)
    suspicion = undefined
  }
}
