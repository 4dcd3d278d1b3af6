// Compares the sidecar with other TLS proxies for a registry.
//
//   npm run bench -- [options]        `--help` lists them; needs curl and the real registry's program on the PATH

import { assertPageHasSection, writePageSection } from './benchmarks-page.ts'
import { runProgram, say } from './run-program.ts'
import { describeMachine } from './machine.ts'
import type { Measure, Setting } from './measure.ts'
import { firstByte } from './measures/first-byte.ts'
import { fresh, small } from './measures/requests.ts'
import { pullMany, pullOne, pushOne } from './measures/transfers.ts'
import { choose, parseOptions, USAGE, type Options } from './options.ts'
import { peersFor } from './peers.ts'
import { registryProgram, registryVersion, startBareRegistry } from './peers/registry.ts'
import { formatJson, formatMarkdown, type Run } from './report.ts'
import { runRounds, type Sample } from './rounds.ts'
import { createEnvironment, type Environment } from './environment.ts'
import { stockRegistry } from './stock-registry.ts'
import type { Peer } from './subject.ts'
import { pidOf, startSubject, type Registry, type Running } from './subjects.ts'

const MEASURES: readonly Measure[] = [pullOne, pushOne, small, fresh, pullMany, firstByte]
await runProgram(USAGE, (args) => main(parseOptions(args)))

async function main(options: Options): Promise<void> {
  const all = peersFor(options.nodes)
  const wanted = choose(all, options.only)
  const measures = choose(MEASURES, options.measures)
  if (options.write) assertPageHasSection('bench')
  if (registryProgram === undefined) throw new Error('no docker-registry or registry on the PATH')
  const machine = describeMachine(await registryVersion(registryProgram))
  const missing = wanted.filter(({ program }) => program === undefined).map(({ name }) => name)
  for (const name of missing) say(`${name} is not on the PATH; skipped`)

  const environment = createEnvironment(options.sizeMib)
  const started = await startBareRegistry(registryProgram, environment)
  const registry = { pid: pidOf(started), port: started.port }
  const running = await startAll({ all, wanted }, environment, registry)
  const bareRegistry = { port: registry.port, isGuarded: false }
  const blobs = await stockRegistry(environment, bareRegistry, options)
  const subjects = running.map(({ subject }) => subject)
  const setting = { environment, blobs, bareRegistry, serial: counter() } satisfies Setting
  const plan = { rounds: options.rounds, subjects, measures, onSample: sayProgress }
  const samples = await runRounds(plan, setting)

  const peers = running.map(({ note }) => note)
  report({ options, machine, peers, missing, measures, samples })
}

async function startAll(
  { all, wanted }: { readonly all: readonly Peer[]; readonly wanted: readonly Peer[] },
  environment: Environment,
  registry: Registry,
): Promise<readonly Running[]> {
  const running: Running[] = []
  for (const peer of all.filter(({ program }) => program !== undefined)) {
    // The first sidecar issues the certificate of all peers, even if it is not measured.
    if (peer === all[0] || wanted.includes(peer))
      running.push(await startSubject(peer, environment, registry))
  }
  return running.filter(({ subject }) => wanted.some(({ name }) => name === subject.name))
}

function report(run: Run): void {
  const markdown = formatMarkdown(run)
  console.log(run.options.json ? formatJson(run) : markdown)
  if (run.options.write) writePageSection('bench', markdown)
}

function sayProgress({ round, measure, peer, figures }: Sample): void {
  const shown = Object.entries(figures).map(([key, value]) => `${key} ${value.toPrecision(3)}`)
  say(`round ${round + 1}: ${measure} ${peer}: ${shown.join(', ')}`)
}

function counter(): () => number {
  let count = 0
  return () => ++count
}
