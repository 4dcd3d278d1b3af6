// Waits for certificate and key to belong together again.

import type { Timetable } from './timetable.ts'

export interface MismatchPatience {
  /** True once a mismatch has lasted for too long. */
  readonly isOver: boolean
  /** The files do not belong together. Starts to wait, unless that has begun. */
  begin(): void
  /** The files belong together, or one of them is unusable by itself. */
  end(): void
}

export interface MismatchPatienceOptions {
  readonly patienceMs: number
  readonly after: Timetable['after']
  /** Called when the patience is over, because no file may change any more. */
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
