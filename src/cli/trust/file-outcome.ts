// Describes what happened to one file of `--install` or `--uninstall`.

import { errorCode, errorMessage } from '../../errors/errors.ts'

export interface FileOutcome {
  readonly file: string
  readonly outcome: 'written' | 'replaced' | 'unchanged' | 'removed' | 'absent' | 'kept' | 'failed'
  readonly note?: string
  /** A command with the same effect, for a person with enough rights. */
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
        note: 'the file system is read-only; on the machine of the clients, run the commands that `trust` prints',
      }
    default:
      return { file, outcome: 'failed', note: errorMessage(error) }
  }
}
