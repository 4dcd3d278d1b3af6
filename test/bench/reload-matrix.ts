// Prints how long each kind of users file change takes to apply.
//
//   npm run bench:reload -- [ROUNDS] [TEXT]      20 rounds; only methods with TEXT in their name
//
// The time starts when the change is complete and ends when the sidecar uses the new table. A round counts if it takes
// less than a second and no other table is used in between. Also measures a file of 100,000 lines.

import { availableParallelism } from 'node:os'
import { METHODS, type Method } from '../files/run-ways-to-change.ts'
import { withoutFileEvents } from '../files/no-file-events.ts'
import { createPlace, outcomeOf, type Layout } from '../files/users-place.ts'
import { largeFileFigures } from './large-users-file.ts'

const LIMIT_MS = 1_000
const POLL_ALONE_MS = 500
const DEFAULT_POLL_MS = 1_000
// A round mostly waits, so more lanes than processors.
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
const available = cases.filter(({ isThere }) => isThere)
for (const method of new Set(cases.filter(({ isThere }) => !isThere).map(({ method }) => method)))
  console.log(`skipped because the program is not on this machine: ${method}`)

// Runs first, in a fresh process, because earlier garbage would change the figure.
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
available.forEach(({ method, layout }, index) => {
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
  const left = [...available.entries()]
  const lane = async (): Promise<void> => {
    for (let next = left.shift(); next !== undefined; next = left.shift()) {
      done[next[0]] = await measure(next[1], pollMs)
    }
  }
  await Promise.all(Array.from({ length: LANES }, lane))
  return done
}

async function measure(testCase: Case, pollMs: number | 'off'): Promise<Figure> {
  const took: number[] = []
  const failures: string[] = []
  for (let round = 0; round < rounds; round++) {
    const place = createPlace(testCase.layout)
    try {
      const change = () => testCase.change(place)
      // Spreads the changes over the time between two polls.
      const phaseMs = pollMs === 'off' ? 0 : (round / rounds) * pollMs
      const outcome = await outcomeOf(place, { change, pollMs, deadlineMs: LIMIT_MS, phaseMs })
      if (outcome.swaps !== 1) throw new Error(`${outcome.swaps} tables were used one after the other`)
      took.push(outcome.tookMs)
    } catch (error) {
      failures.push(`${testCase.method} (${testCase.layout}): ${String(error)}`)
    } finally {
      place.remove()
    }
  }
  return { inTime: took.length, maxMs: Math.max(0, ...took), failures }
}
