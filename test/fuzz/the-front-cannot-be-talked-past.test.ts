// A few thousand spoilt requests per run, with a seed that is printed when one of them finds something. For more:
// npm run fuzz.

import fc from 'fast-check'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { startLenientUpstream, type LenientUpstream } from '../fixtures/lenient-upstream.ts'
import { startSidecar, type TestSidecar } from '../fixtures/sidecar.ts'
import { judgeBatch } from './batch.ts'
import { batches } from './generate.ts'

const BATCH = 100
const RUNS = 20

let upstream: LenientUpstream
let sidecar: TestSidecar

beforeAll(async () => {
  upstream = await startLenientUpstream()
  sidecar = await startSidecar({ upstreamPort: upstream.port, env: { SIDECAR_THROTTLE: 'off' } })
})

afterAll(async () => {
  await sidecar.stop()
  upstream.close()
})

it('is talked past by no spoilt request', { timeout: 120_000 }, async () => {
  const fuzzed = {
    target: { port: sidecar.port, ca: sidecar.root.pem, sessions: {} },
    upstream,
    ids: new Set<string>(),
  }
  const property = fc.asyncProperty(batches(BATCH), async (batch) => {
    await judgeBatch(batch, fuzzed)
  })
  const { seed, failed, errorInstance } = await fc.check(property, { numRuns: RUNS, endOnFailure: true })
  const again = `npm run fuzz -- --cases ${BATCH * RUNS} --seed ${seed}`
  expect(failed ? `${String(errorInstance)}\n${again}` : 'nothing found').toBe('nothing found')
})
