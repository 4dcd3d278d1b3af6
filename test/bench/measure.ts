import type { Blob, Stage } from './stage.ts'
import type { Endpoint, Subject } from './subject.ts'

export interface Figure {
  readonly key: string
  readonly label: string
  readonly digits: number
  /** Which ratio is good news. */
  readonly better: 'lower' | 'higher'
}

export interface Blobs {
  /** What pull and push move. */
  readonly large: Blob
  /** What many pull at once. */
  readonly medium: Blob
  readonly small: Blob
}

export interface Setting {
  readonly stage: Stage
  readonly blobs: Blobs
  readonly bareRegistry: Endpoint
  /** Different at every call, for names that must be new. */
  readonly serial: () => number
}

export interface Measure {
  readonly name: string
  readonly title: string
  readonly figures: readonly Figure[]
  /** One figure each; rejects when anything that came or went was not as it should be. */
  run(subject: Subject, setting: Setting): Promise<Readonly<Record<string, number>>>
}
