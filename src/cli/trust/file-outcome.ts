import { errorCode, errorMessage } from '../../errors/errors.ts'

/** What became of one file. */
export interface FileOutcome {
  readonly file: string
  readonly outcome: 'written' | 'replaced' | 'unchanged' | 'removed' | 'absent' | 'kept' | 'failed'
  readonly note?: string
  /** What does it, where this process may not. */
  readonly command?: string
}

/** A step that could not be done. `command` is told only where rights are what is missing. */
export function failed(file: string, error: unknown, command: string): FileOutcome {
  switch (errorCode(error)) {
    case 'EACCES':
    case 'EPERM':
      return { file, outcome: 'failed', note: 'permission denied', command }
    case 'EROFS':
      return {
        file,
        outcome: 'failed',
        note: 'the file system is read-only; run the commands that `trust` prints where clients run',
      }
    default:
      return { file, outcome: 'failed', note: errorMessage(error) }
  }
}
