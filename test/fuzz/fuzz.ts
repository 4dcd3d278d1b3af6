// Runs the fuzzer against a built sidecar in its own process.
//
// It also measures the event loop and the memory of the sidecar.
//
//   npm run fuzz -- [options]        `--help` lists them

import fc from 'fast-check'
import { hashSync } from 'bcryptjs'
import { readFileSync, writeFileSync } from 'node:fs'
import { runProgram, say } from '../bench/run-program.ts'
import { createEventLoopProbe } from '../bench/flood/event-loop-delay.ts'
import { sidecarOn } from '../bench/peers/sidecar.ts'
import { peakRssMib, residentMib, resetPeakRss } from '../bench/process-tree.ts'
import { createEnvironment } from '../bench/environment.ts'
import { pidOf } from '../bench/subjects.ts'
import { startLenientUpstream } from '../fixtures/lenient-upstream.ts'
import { judgeBatch, type FuzzTarget } from './batch.ts'
import { batches } from './generate.ts'
import { parseOptions, USAGE, type Options } from './options.ts'

const BATCH = 100

// After this many cases the memory of the sidecar must not grow any more.
const WARM_UP_CASES = 5_000

await runProgram(USAGE, (args) => main(parseOptions(args)))

async function main({ cases, seed, node }: Options): Promise<void> {
  const environment = createEnvironment(1)
  const probe = createEventLoopProbe(environment.folder)
  const upstream = await startLenientUpstream()
  writeFileSync(environment.usersFile, `alice:${hashSync('correct horse', 4)}\n`)
  // Hundreds of unauthenticated requests come from one address.
  process.env['SIDECAR_THROTTLE'] = 'off'
  const sidecar = await sidecarOn('sidecar', node, probe.nodeArgs).start(node, environment, upstream.port)
  const [pid, ca] = [pidOf(sidecar), readFileSync(environment.identity.root, 'utf8')]
  const scene = { target: { port: sidecar.port, ca, sessions: {} }, upstream, ids: new Set<string>() }
  say(`${cases} cases, seed ${seed}; again with: npm run fuzz -- --cases ${cases} --seed=${seed}`)
  await fuzz(scene, Math.min(WARM_UP_CASES, cases), seed)
  const before = residentMib(pid)
  resetPeakRss(pid)
  await probe.read(pid)
  const startedAt = performance.now()
  await fuzz(scene, cases, seed)
  const seconds = (performance.now() - startedAt) / 1000
  const { p99, max } = await probe.read(pid)
  console.log(`${cases} cases passed, ${scene.ids.size} requests reached the upstream, warm-up included`)
  console.log(`seed              ${seed}`)
  console.log(`cases/s           ${(cases / seconds).toFixed(0)}`)
  console.log(`event loop        p99 ${p99.toFixed(1)} ms late, at most ${max.toFixed(1)} ms`)
  console.log(
    `resident memory   ${before.toFixed(0)} MiB before, ${residentMib(pid).toFixed(0)} MiB after, peak ${peakRssMib(pid).toFixed(0)} MiB`,
  )
  upstream.close()
}

/** Throws with the guilty cases if a request gets past the sidecar. */
async function fuzz(scene: FuzzTarget, cases: number, seed: number): Promise<void> {
  let done = 0
  const property = fc.asyncProperty(batches(BATCH), async (batch) => {
    await judgeBatch(batch, scene)
    done += BATCH
    if (done % 10_000 === 0) say(`${done} cases`)
  })
  const { failed, errorInstance } = await fc.check(property, {
    numRuns: Math.ceil(cases / BATCH),
    seed,
    // judgeBatch finds the guilty cases itself.
    endOnFailure: true,
  })
  if (failed) throw errorInstance
}
