// Defines what a benchmark measures.

import type { Blob, Environment } from './environment.ts'
import type { Endpoint, Subject } from './subject.ts'

export interface Figure {
  readonly key: string
  readonly label: string
  readonly digits: number
  /** Whether a lower or a higher figure is better. */
  readonly better: 'lower' | 'higher'
}

export interface Blobs {
  /** For a single pull or push. */
  readonly large: Blob
  /** For parallel pulls. */
  readonly medium: Blob
  readonly small: Blob
}

export interface Setting {
  readonly environment: Environment
  readonly blobs: Blobs
  readonly bareRegistry: Endpoint
  /** Returns a new number at every call, for unique names. */
  readonly serial: () => number
}

export interface Measure {
  readonly name: string
  readonly title: string
  readonly figures: readonly Figure[]
  /** Resolves to the value of each figure. Rejects if a transfer is wrong. */
  run(subject: Subject, setting: Setting): Promise<Readonly<Record<string, number>>>
}
