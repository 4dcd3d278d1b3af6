// Runs all measures in interleaved rounds.

import type { Measure, Setting } from './measure.ts'
import type { Subject } from './subject.ts'

export interface Sample {
  readonly round: number
  readonly measure: string
  readonly peer: string
  readonly figures: Readonly<Record<string, number>>
}

export interface Plan {
  readonly rounds: number
  readonly subjects: readonly Subject[]
  readonly measures: readonly Measure[]
  readonly onSample: (sample: Sample) => void
}

/**
 * Runs each measure once per subject and round, one at a time. Each round starts with another subject, so that none
 * always follows a slow one.
 */
export async function runRounds(
  { rounds, subjects, measures, onSample }: Plan,
  setting: Setting,
): Promise<Sample[]> {
  const samples: Sample[] = []
  for (let round = 0; round < rounds; round++) {
    for (const measure of measures) {
      for (const subject of rotated(subjects, round)) {
        const sample = {
          round,
          measure: measure.name,
          peer: subject.name,
          figures: await run(measure, subject, setting),
        }
        samples.push(sample)
        onSample(sample)
      }
    }
  }
  return samples
}

async function run(measure: Measure, subject: Subject, setting: Setting): Promise<Sample['figures']> {
  try {
    return await measure.run(subject, setting)
  } catch (cause) {
    throw new Error(`${measure.name} of ${subject.name} failed`, { cause })
  }
}

function rotated<T>(list: readonly T[], by: number): readonly T[] {
  const start = by % list.length
  return [...list.slice(start), ...list.slice(0, start)]
}
