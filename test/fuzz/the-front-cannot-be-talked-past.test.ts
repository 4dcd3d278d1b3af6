// A few thousand spoilt requests per run, with a seed that is printed when one of them finds something. For more:
// npm run fuzz.

import fc from 'fast-check'
import { expect, it } from 'vitest'
import { adversaryScene } from '../fixtures/adversary-scene.ts'
import { LOGIN } from '../http/adversary/cases.ts'
import { judgeBatch } from './batch.ts'
import { batches, type FuzzCase } from './generate.ts'
import { REQUESTS } from './words.ts'

const BATCH = 100
const RUNS = 20
// About 70 spoilt requests come through, with some seeds 40.
const LEAST_SPOILT = 7

const scene = adversaryScene()

it('is talked past by no spoilt request', { timeout: 300_000 }, async () => {
  const fuzzed = { ...scene(), ids: new Set<string>() }
  let whole = 0
  const property = fc.asyncProperty(batches(BATCH), async (batch) => {
    if (!batch.isOfStrangers) whole += batch.cases.reduce((sum, entry) => sum + wholeIn(entry), 0)
    await judgeBatch(batch, fuzzed)
  })
  const { seed, failed, errorInstance } = await fc.check(property, { numRuns: RUNS, endOnFailure: true })
  const again = `npm run fuzz -- --cases ${BATCH * RUNS} --seed=${seed}`
  expect(failed ? `${String(errorInstance)}\n${again}` : 'nothing found').toBe('nothing found')
  // A front that refuses all that is spoilt finds nothing either: more must come through than what is not.
  expect(fuzzed.ids.size).toBeGreaterThanOrEqual(whole + LEAST_SPOILT)
})

/** How many requests with a login come through before anything is spoilt. */
function wholeIn({ pieces }: FuzzCase): number {
  let [rest, count] = [pieces.join(''), 0]
  for (;;) {
    const next = REQUESTS.find((bytes) => rest.startsWith(bytes))
    if (next === undefined) return count
    rest = rest.slice(next.length)
    if (next.includes(LOGIN)) count += 1
  }
}
