// Describes what happened to one file of `--install` or `--uninstall`.

import { errorCode, errorMessage } from '../../errors/errors.ts'

export interface FileOutcome {
  readonly file: string
  readonly outcome: 'written' | 'replaced' | 'unchanged' | 'removed' | 'absent' | 'kept' | 'failed'
  readonly note?: string
  /** The command that a person with enough rights can run instead. */
  readonly command?: string
}

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
