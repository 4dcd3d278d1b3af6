// Prints how long each way to change a users file takes to be in force, and what a file of 100,000 lines costs.
//
//   npm run bench:reload -- [ROUNDS] [TEXT]      20 rounds; only methods with TEXT in their name
//
// The time runs from the end of the change (the rename, the end of the program) to the table in force being the one
// in the file. A round counts when that took less than a second and no other table was in force in between.

import { availableParallelism } from 'node:os'
import { METHODS, type Method } from '../reload/methods.ts'
import { withoutFileEvents } from '../reload/no-file-events.ts'
import { createPlace, outcomeOf, type Layout } from '../reload/users-place.ts'
import { largeFileFigures } from './large-users-file.ts'

const LIMIT_MS = 1_000
const POLL_ALONE_MS = 500
const DEFAULT_POLL_MS = 1_000
// Most of a round is waiting.
const LANES = 4 * availableParallelism()

const rounds = Number(process.argv[2] ?? 20)
const wanted = METHODS.filter(({ method }) => method.includes(process.argv[3] ?? ''))
if (wanted.length === 0)
  throw new Error(`no method has that in its name: ${METHODS.map(({ method }) => method).join('; ')}`)

interface Case extends Method {
  readonly layout: Layout
}

interface Figure {
  readonly inTime: number
  readonly maxMs: number
  readonly failures: readonly string[]
}

const cases = wanted.flatMap((method) => method.layouts.map((layout): Case => ({ ...method, layout })))
const there = cases.filter(({ isThere }) => isThere)
for (const method of new Set(cases.filter(({ isThere }) => !isThere).map(({ method }) => method)))
  console.log(`left out, since the program is not on this machine: ${method}`)

// First, in a process that has done nothing yet: what the collector has to do is part of the figure.
console.log(`${await largeFileFigures()}\n`)
console.log(`${rounds} rounds each; rounds in time, and the longest\n`)
console.log(`${'method'.padEnd(78)} events alone     poll ${POLL_ALONE_MS} ms alone  as by default`)
const events = await figures('off')
const both = await figures(DEFAULT_POLL_MS)
const restore = withoutFileEvents()
const polls = await figures(POLL_ALONE_MS)
restore()
const text = (figure: Figure | undefined) =>
  `${figure?.inTime}/${rounds} ${figure?.maxMs.toFixed(0).padStart(4)} ms`.padEnd(17)
there.forEach(({ method, layout }, index) => {
  const row = [events[index], polls[index], both[index]].map(text).join('')
  console.log(`${`${method} (${layout})`.padEnd(78)} ${row}`)
})
const all = [...events, ...polls, ...both]
for (const failure of new Set(all.flatMap(({ failures }) => failures))) console.log(failure)
const inTime = all.reduce((sum, figure) => sum + figure.inTime, 0)
const longest = Math.max(...all.map(({ maxMs }) => maxMs))
console.log(`\nin time: ${inTime} of ${all.length * rounds}; the longest took ${longest.toFixed(0)} ms`)
if (inTime < all.length * rounds) process.exitCode = 1

async function figures(pollMs: number | 'off'): Promise<readonly Figure[]> {
  const done: Figure[] = []
  const left = [...there.entries()]
  const lane = async (): Promise<void> => {
    for (let next = left.shift(); next !== undefined; next = left.shift()) {
      done[next[0]] = await figureOf(next[1], pollMs)
    }
  }
  await Promise.all(Array.from({ length: LANES }, lane))
  return done
}

async function figureOf(one: Case, pollMs: number | 'off'): Promise<Figure> {
  const took: number[] = []
  const failures: string[] = []
  for (let round = 0; round < rounds; round++) {
    const place = createPlace(one.layout)
    try {
      const change = () => one.change(place)
      // Spread over the time between two polls, of which some are worse than others.
      const phaseMs = pollMs === 'off' ? 0 : (round / rounds) * pollMs
      const outcome = await outcomeOf(place, { change, pollMs, deadlineMs: LIMIT_MS, phaseMs })
      if (outcome.swaps !== 1) throw new Error(`${outcome.swaps} tables were in force one after the other`)
      took.push(outcome.tookMs)
    } catch (error) {
      failures.push(`${one.method} (${one.layout}): ${String(error)}`)
    } finally {
      place.remove()
    }
  }
  return { inTime: took.length, maxMs: Math.max(0, ...took), failures }
}
