// Compares the sidecar's memory and start with those of a minimal Node server.
//
//   npm run bench:memory -- [options]        `--help` lists them; needs curl and the real registry's program on the PATH

import { setTimeout as pause } from 'node:timers/promises'
import { assertPageHasSection, writePageSection } from './benchmarks-page.ts'
import { endChild } from './children.ts'
import { createEnvironment } from './environment.ts'
import { describeMachine } from './machine.ts'
import type { Measure, Setting } from './measure.ts'
import { fresh, small } from './measures/requests.ts'
import { pullMany, pullOne, pushOne } from './measures/transfers.ts'
import { parseOptions, type Options } from './options.ts'
import { bareNodeOn } from './peers/bare-node.ts'
import { registryProgram, registryVersion, startBareRegistry } from './peers/registry.ts'
import { sidecarOn } from './peers/sidecar.ts'
import { privateMib, residentMib } from './process-tree.ts'
import { runProgram, say } from './run-program.ts'
import { median } from './statistics.ts'
import { stockRegistry } from './stock-registry.ts'
import type { Peer } from './subject.ts'
import { pidOf, startSubject, type Registry, type Running } from './subjects.ts'

const USAGE = `npm run bench:memory -- [options]

  --rounds N           rounds, each with new processes (5)
  --size MIB           size of the blob pulled and pushed (1024)
  --node PATH          Node for both servers; given several times, each is compared on its own
  --write              also replaces the text between <!-- memory --> and <!-- /memory --> in docs/benchmarks.md
`

const LOADS: readonly Measure[] = [pullOne, pushOne, small, fresh, pullMany]

// Worker threads end after 10 s. V8 returns memory of an idle process after 8 s.
const IDLE_MS = 20_000

const ROWS = [
  'start to first answer, ms',
  'idle, MiB',
  'idle without shared pages, MiB',
  ...LOADS.map(({ title }) => `${title}: peak, MiB`),
  'idle after all loads, MiB',
] as const

type Figures = Readonly<Record<string, number>>

interface Sample {
  readonly column: string
  readonly figures: Figures
}

await runProgram(USAGE, (args) => main(parseOptions(args)))

async function main(options: Options): Promise<void> {
  if (options.write) assertPageHasSection('memory')
  if (registryProgram === undefined) throw new Error('no docker-registry or registry on the PATH')
  const environment = createEnvironment(options.sizeMib)
  const started = await startBareRegistry(registryProgram, environment)
  const registry = { pid: pidOf(started), port: started.port }
  const bareRegistry = { port: registry.port, isGuarded: false }
  const blobs = await stockRegistry(environment, bareRegistry, options)
  let count = 0
  const setting = { environment, blobs, bareRegistry, serial: () => ++count } satisfies Setting
  await issueCertificate(options, setting, registry)

  const samples: Sample[] = []
  for (let round = 0; round < options.rounds; round++) {
    for (const node of options.nodes) samples.push(...(await compare(node, setting, registry)))
  }
  const markdown = format(options, samples, await registryVersion(registryProgram))
  console.log(markdown)
  if (options.write) writePageSection('memory', markdown)
}

/** Creates the state that later starts find. */
async function issueCertificate({ nodes }: Options, setting: Setting, registry: Registry): Promise<void> {
  const { child } = await sidecarOn('first', nodes[0] ?? process.execPath).start(
    nodes[0] ?? process.execPath,
    setting.environment,
    registry.port,
  )
  endChild(child)
}

async function compare(node: string, setting: Setting, registry: Registry): Promise<readonly Sample[]> {
  const peers: readonly Peer[] = [sidecarOn('sidecar', node), bareNodeOn(node)]
  const running: Running[] = []
  for (const peer of peers) running.push(await startSubject(peer, setting.environment, registry))
  await pause(IDLE_MS)
  const figures = running.map(({ startMs, subject: { pid } }) => [startMs, residentMib(pid), privateMib(pid)])
  for (const load of LOADS) {
    for (const [index, { subject }] of running.entries()) {
      const { rss = NaN } = await load.run(subject, setting)
      figures[index]?.push(rss)
    }
  }
  await pause(IDLE_MS)
  return running.map(({ subject: { name, pid }, note: { version }, child }, index) => {
    const column = `${name}, ${version}`
    const values = [...(figures[index] ?? []), residentMib(pid)]
    endChild(child)
    say(`${column}: ${values.map((value) => value.toFixed(0)).join(' ')}`)
    return { column, figures: Object.fromEntries(ROWS.map((row, at) => [row, values[at] ?? NaN])) }
  })
}

function format({ rounds, sizeMib }: Options, samples: readonly Sample[], registry: string): string {
  const machine = describeMachine(registry)
  const columns = [...new Set(samples.map(({ column }) => column))]
  const valueOf = (column: string | undefined, row: string): number =>
    median(samples.filter((sample) => sample.column === column).map(({ figures }) => figures[row] ?? NaN))
  const cell = (row: string, at: number): string => {
    const value = valueOf(columns[at], row)
    // Each sidecar is followed by the minimal server on the same Node.
    return at % 2 === 1
      ? value.toFixed(0)
      : `${value.toFixed(0)} (${ratio(value, valueOf(columns[at + 1], row))})`
  }
  return [
    `Medians of ${rounds} ${rounds === 1 ? 'round' : 'rounds'} with a blob of ${sizeMib} MiB, ${machine.date}, on ${machine.cores} cores of ${machine.cpu},`,
    `${machine.system}, registry ${machine.registry}. Memory is RSS. In parentheses: sidecar ÷ bare-node of the same Node.`,
    '',
    `| | ${columns.join(' | ')} |`,
    `|---|${'---:|'.repeat(columns.length)}`,
    ...ROWS.map((row) => `| ${row} | ${columns.map((_, at) => cell(row, at)).join(' | ')} |`),
  ].join('\n')
}

function ratio(value: number, base: number): string {
  return (value / base).toFixed(2)
}
