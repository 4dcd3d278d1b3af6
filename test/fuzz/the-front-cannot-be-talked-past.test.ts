// A few thousand spoilt requests per run, with a seed that is printed when one of them finds something. For more:
// npm run fuzz.

import fc from 'fast-check'
import { expect, it } from 'vitest'
import { adversaryScene } from '../fixtures/adversary-scene.ts'
import { judgeBatch } from './batch.ts'
import { batches } from './generate.ts'

const BATCH = 100
const RUNS = 20

const scene = adversaryScene()

it('is talked past by no spoilt request', { timeout: 120_000 }, async () => {
  const fuzzed = { ...scene(), ids: new Set<string>() }
  const property = fc.asyncProperty(batches(BATCH), async (batch) => {
    await judgeBatch(batch, fuzzed)
  })
  const { seed, failed, errorInstance } = await fc.check(property, { numRuns: RUNS, endOnFailure: true })
  const again = `npm run fuzz -- --cases ${BATCH * RUNS} --seed=${seed}`
  expect(failed ? `${String(errorInstance)}\n${again}` : 'nothing found').toBe('nothing found')
})
