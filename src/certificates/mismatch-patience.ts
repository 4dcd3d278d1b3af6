// Waits until certificate and key match again, for a limited time.

import type { Timetable } from '../async/timetable.ts'

export interface MismatchPatience {
  /** Whether the mismatch lasts longer than `patienceMs`. */
  readonly isOver: boolean
  /** A repeated call does not restart the wait. */
  begin(): void
  /** Call it when the files match, or one of them is unusable by itself. */
  end(): void
}

export interface MismatchPatienceOptions {
  readonly patienceMs: number
  readonly after: Timetable['after']
  /** Called after `patienceMs`, because the files may never change again. */
  readonly onOver: () => void
}

export function createMismatchPatience({
  patienceMs,
  after,
  onOver,
}: MismatchPatienceOptions): MismatchPatience {
  let cancel: (() => void) | undefined
  let isOver = false

  return {
    get isOver() {
      return isOver
    },
    begin() {
      cancel ??= after(patienceMs, () => {
        isOver = true
        onOver()
      })
    },
    end() {
      cancel?.()
      cancel = undefined
      isOver = false
    },
  }
}
