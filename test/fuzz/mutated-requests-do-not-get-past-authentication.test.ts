// Sends a few thousand mutated requests and prints a failing seed.
//
// `npm run fuzz` sends more.

import fc from 'fast-check'
import { expect, it } from 'vitest'
import { adversaryScene } from '../fixtures/adversary-scene.ts'
import { repetitions } from '../fixtures/repetitions.ts'
import { LOGIN } from '../http/adversary/cases.ts'
import { judgeBatch } from './batch.ts'
import { batches, type FuzzCase } from './generate.ts'
import { REQUESTS } from './vocabulary.ts'

const BATCH = 100
const RUNS = repetitions({ usual: 5, stress: 20 })
// About 3.5 mutated requests of each run reach the upstream, with some seeds 2.
const MIN_MUTATED = RUNS / 3

const scene = adversaryScene()

it('lets no mutated request past authentication', { timeout: 300_000 }, async () => {
  const target = { ...scene(), ids: new Set<string>() }
  let unmutated = 0
  const property = fc.asyncProperty(batches(BATCH), async (batch) => {
    if (!batch.isUnauthenticated)
      unmutated += batch.cases.reduce((sum, entry) => sum + countUnmutated(entry), 0)
    await judgeBatch(batch, target)
  })
  const { seed, failed, errorInstance } = await fc.check(property, { numRuns: RUNS, endOnFailure: true })
  const again = `npm run fuzz -- --cases ${BATCH * RUNS} --seed=${seed}`
  expect(failed ? `${String(errorInstance)}\n${again}` : 'nothing found').toBe('nothing found')
  // A sidecar that refuses every mutated request makes the test useless, so some must reach the upstream.
  expect(target.ids.size).toBeGreaterThanOrEqual(unmutated + MIN_MUTATED)
})

/** How many requests with a login precede the first mutation. */
function countUnmutated({ pieces }: FuzzCase): number {
  let [rest, count] = [pieces.join(''), 0]
  for (;;) {
    const next = REQUESTS.find((bytes) => rest.startsWith(bytes))
    if (next === undefined) return count
    rest = rest.slice(next.length)
    if (next.includes(LOGIN)) count += 1
  }
}
