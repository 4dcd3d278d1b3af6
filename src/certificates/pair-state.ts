// How the files of a certificate stand: as they should, halfway replaced, or no good; and who has been told.

import type { InvalidFileError } from '../errors/errors.ts'
import type { Log } from '../observability/log.ts'
import type { FileState } from '../files/reloadable.ts'
import type { Timetable } from './leaf-renewal.ts'

export interface PairStanding {
  readonly state: FileState
  /** How many faults have been told. */
  readonly failed: number
  /** Whether files have not belonged together for so long that it is told when a look that begins now finds the same. */
  readonly isPatienceOver: boolean
  /** The files are good. */
  readonly recovered: () => void
  /** A file is no good. Tells so, unless it was told just that before. Returns the error, for throwing. */
  readonly fail: (error: InvalidFileError) => InvalidFileError
  /** Files do not belong together, as in the midst of a replacement. The same, once that has lasted. */
  readonly suspect: (error: InvalidFileError, when: Suspicion) => InvalidFileError
  readonly close: () => void
}

export interface Suspicion {
  /** What `isPatienceOver` said before the files were read. */
  readonly isLasting: boolean
}

export interface PairStandingOptions {
  readonly log: Log
  /** How long a mismatch may last before it is told. */
  readonly patienceMs: number
  readonly after: Timetable['after']
  /** To look again: the mismatch may have lasted, and no file may change any more. */
  readonly onPatienceOver: () => void
}

export function createPairStanding(options: PairStandingOptions): PairStanding {
  const { log, patienceMs, after, onPatienceOver } = options
  let state: FileState = { kind: 'fresh' }
  let told: string | undefined
  let cancelTimer: (() => void) | undefined
  let isPatienceOver = false
  let failed = 0
  let isClosed = false

  return {
    get state() {
      return state
    },
    get failed() {
      return failed
    },
    get isPatienceOver() {
      return isPatienceOver
    },
    recovered() {
      endSuspicion()
      if (told !== undefined) log.info('certificate and key can be used again')
      told = undefined
      state = { kind: 'fresh' }
    },
    fail(error) {
      endSuspicion()
      return tell(error)
    },
    // Not by the time that has passed meanwhile: when this process stood still while it read the files, as on a machine
    // that sleeps, what it holds in its hand is how they stood before that.
    suspect(error, { isLasting }) {
      if (isClosed) return error
      cancelTimer ??= after(patienceMs, endPatience)
      return isLasting ? tell(error) : error
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

  function endPatience(): void {
    isPatienceOver = true
    onPatienceOver()
  }

  function endSuspicion(): void {
    cancelTimer?.()
    cancelTimer = undefined
    isPatienceOver = false
  }
}
