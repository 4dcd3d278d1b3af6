// The fuzzer for as long as one likes, against the built product as a process of its own, whose event loop and memory
// are watched meanwhile.
//
//   npm run fuzz -- [options]        `--help` lists them

import fc from 'fast-check'
import { hashSync } from 'bcryptjs'
import { readFileSync, writeFileSync } from 'node:fs'
import { live, say } from '../bench/life.ts'
import { createEventLoopProbe } from '../bench/flood/event-loop-delay.ts'
import { sidecarOn } from '../bench/peers/sidecar.ts'
import { peakRssMib, residentMib, resetPeakRss } from '../bench/process-tree.ts'
import { createStage } from '../bench/stage.ts'
import { pidOf } from '../bench/subjects.ts'
import { startLenientUpstream } from '../fixtures/lenient-upstream.ts'
import { judgeBatch, type Fuzzed } from './batch.ts'
import { batches } from './generate.ts'
import { parseOptions, USAGE, type Options } from './options.ts'

const BATCH = 100

// What is held after this many cases is what a sidecar at work holds; from there on it must not grow.
const WARM_UP_CASES = 5_000

await live(USAGE, (args) => main(parseOptions(args)))

async function main({ cases, seed, node }: Options): Promise<void> {
  const stage = createStage(1)
  const probe = createEventLoopProbe(stage.folder)
  const upstream = await startLenientUpstream()
  writeFileSync(stage.usersFile, `alice:${hashSync('correct horse', 4)}\n`)
  // Strangers come by the hundred, all from one address.
  process.env['SIDECAR_THROTTLE'] = 'off'
  const sidecar = await sidecarOn('sidecar', node, probe.nodeArgs).start(node, stage, upstream.port)
  const [pid, ca] = [pidOf(sidecar), readFileSync(stage.identity.root, 'utf8')]
  const fuzzed = { target: { port: sidecar.port, ca, sessions: {} }, upstream, ids: new Set<string>() }
  say(`${cases} cases, seed ${seed}; again with: npm run fuzz -- --cases ${cases} --seed=${seed}`)
  await fuzz(fuzzed, Math.min(WARM_UP_CASES, cases), seed)
  const before = residentMib(pid)
  resetPeakRss(pid)
  await probe.read(pid)
  const startedAt = performance.now()
  await fuzz(fuzzed, cases, seed)
  const seconds = (performance.now() - startedAt) / 1000
  const { p99, max } = await probe.read(pid)
  console.log(`${cases} cases passed, ${fuzzed.ids.size} requests reached the upstream, warm-up included`)
  console.log(`seed              ${seed}`)
  console.log(`cases/s           ${(cases / seconds).toFixed(0)}`)
  console.log(`event loop        p99 ${p99.toFixed(1)} ms late, at most ${max.toFixed(1)} ms`)
  console.log(
    `resident memory   ${before.toFixed(0)} MiB before, ${residentMib(pid).toFixed(0)} MiB after, peak ${peakRssMib(pid).toFixed(0)} MiB`,
  )
  upstream.close()
}

/** Throws, with the cases that did it, when the sidecar is talked past. */
async function fuzz(fuzzed: Fuzzed, cases: number, seed: number): Promise<void> {
  let done = 0
  const property = fc.asyncProperty(batches(BATCH), async (batch) => {
    await judgeBatch(batch, fuzzed)
    done += BATCH
    if (done % 10_000 === 0) say(`${done} cases`)
  })
  const { failed, errorInstance } = await fc.check(property, {
    numRuns: Math.ceil(cases / BATCH),
    seed,
    // A batch says itself which of its cases are to blame.
    endOnFailure: true,
  })
  if (failed) throw errorInstance
}
