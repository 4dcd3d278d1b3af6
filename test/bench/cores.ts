// Prints what a second process on the same port gains.
//
//   npm run bench:cores -- [--rounds N] [--node PATH] [--write]     needs wrk, taskset and Node 22.12
//
// Each process runs on one core. The clients and the registry, which answers without work, run on other cores if there
// are more than two.

import { execFileSync, type ChildProcess } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { availableParallelism } from 'node:os'
import path from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { ALICE, ALICE_ENTRY } from '../fixtures/sidecar.ts'
import { makeTempFolder, removeFolder } from '../fixtures/temp-folder.ts'
import { assertPageHasSection, writePageSection } from './benchmarks-page.ts'
import { endChild, runChild, startChild } from './children.ts'
import { describeMachine } from './machine.ts'
import { cpuSeconds } from './process-tree.ts'
import { runProgram, say } from './run-program.ts'
import { median } from './statistics.ts'

const MAIN = path.join(import.meta.dirname, '..', '..', 'dist', 'main.js')
const USAGE = 'npm run bench:cores -- [--rounds N] [--node PATH] [--write]'
const SECTION = 'cores'
const SECONDS = 4
const CORES = availableParallelism()
const CLIENT_CORES = CORES > 2 ? `2-${CORES - 1}` : '1'

const LAYOUTS = [
  { name: 'one process', cores: [0] },
  { name: 'two processes on one core', cores: [0, 0] },
  { name: 'two processes on two cores', cores: [0, 1] },
] as const

const LOADS = [
  { name: 'kept alive', args: [] },
  { name: 'a new TLS connection each', args: ['-H', 'Connection: close'] },
] as const

interface Figures {
  readonly rate: number
  readonly cpuMs: number
}

await runProgram(USAGE, async (args) => {
  const { values } = parseArgs({
    args: [...args],
    options: {
      rounds: { type: 'string', default: '5' },
      node: { type: 'string', default: process.execPath },
      write: { type: 'boolean', default: false },
    },
  })
  if (values.write) assertPageHasSection(SECTION)
  const folder = makeTempFolder()
  process.once('exit', () => {
    removeFolder(folder)
  })
  mkdirSync(path.join(folder, 'users'))
  writeFileSync(path.join(folder, 'users/htpasswd'), ALICE_ENTRY)
  execFileSync('taskset', ['-a', '-p', '-c', CLIENT_CORES, String(process.pid)])
  const bench = { node: values.node, folder, registryPort: await startRegistry() }
  const results = new Map<string, Figures[]>()
  for (let round = 1; round <= Number(values.rounds); round += 1) {
    for (const layout of LAYOUTS) await measureLayout(bench, layout, results)
    say(`round ${round} of ${values.rounds}`)
  }
  const version = (await runChild([values.node, '--version'])).trim().slice(1)
  const markdown = tableOf(results, { rounds: values.rounds, version })
  console.log(markdown)
  if (values.write) writePageSection(SECTION, markdown)
})

async function startRegistry(): Promise<number> {
  const server = http.createServer((_request, response) => response.end('{}'))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return (server.address() as AddressInfo).port
}

interface Bench {
  readonly node: string
  readonly folder: string
  readonly registryPort: number
}

async function measureLayout(
  bench: Bench,
  { name, cores }: (typeof LAYOUTS)[number],
  results: Map<string, Figures[]>,
): Promise<void> {
  const children: ChildProcess[] = []
  let port = 0
  for (const core of cores) {
    const started = await startSidecar(bench, { core, port })
    port = started.port
    children.push(started.child)
  }
  const cpu = () => children.reduce((sum, child) => sum + cpuSeconds(child.pid ?? 0), 0)
  for (const load of LOADS) {
    await runWrk(port, load.args, 2)
    const before = cpu()
    const { requests, rate } = await runWrk(port, load.args, SECONDS)
    const key = `${name}, ${load.name}`
    const figures = { rate, cpuMs: ((cpu() - before) * 1000) / requests }
    results.set(key, [...(results.get(key) ?? []), figures])
  }
  children.forEach(endChild)
}

async function startSidecar(
  { node, folder, registryPort }: Bench,
  { core, port }: { readonly core: number; readonly port: number },
) {
  const logFile = path.join(folder, 'log')
  writeFileSync(logFile, '')
  const env = {
    SIDECAR_UPSTREAM: `http://127.0.0.1:${registryPort}`,
    SIDECAR_LISTEN: `127.0.0.1:${port}`,
    SIDECAR_ADMIN_LISTEN: 'off',
    SIDECAR_REUSE_PORT: 'true',
    SIDECAR_LOG_FORMAT: 'json',
  }
  const command = ['taskset', '-c', String(core), node, MAIN, 'serve'] as const
  const child = startChild(command, { cwd: folder, env, logFile })
  for (;;) {
    const bound = /"tls":"127\.0\.0\.1:(\d+)"/.exec(readFileSync(logFile, 'utf8'))?.[1]
    if (bound !== undefined) return { child, port: Number(bound) }
    if (child.exitCode !== null) throw new Error(readFileSync(logFile, 'utf8'))
    await pause(20)
  }
}

/** Many connections, because the kernel picks a process at random for each. */
async function runWrk(port: number, args: readonly string[], seconds: number) {
  const login = `Authorization: Basic ${Buffer.from(ALICE).toString('base64')}`
  const shape = ['-t1', '-c64', `-d${seconds}s`, '--timeout', '30s', '-H', login, ...args]
  const output = await runChild([
    'taskset',
    '-c',
    CLIENT_CORES,
    'wrk',
    ...shape,
    `https://127.0.0.1:${port}/v2/`,
  ])
  const [, count] = /(\d+) requests in/.exec(output) ?? []
  const [, rate] = /Requests\/sec:\s+([\d.]+)/.exec(output) ?? []
  if (count === undefined || rate === undefined || output.includes('Non-2xx')) throw new Error(output)
  return { requests: Number(count), rate: Number(rate) }
}

function tableOf(
  results: ReadonlyMap<string, readonly Figures[]>,
  { rounds, version }: { readonly rounds: string; readonly version: string },
): string {
  const { cpu, system, date } = describeMachine('none')
  const rows = LAYOUTS.map(({ name }) => {
    const cells = LOADS.flatMap((load) => {
      const figures = results.get(`${name}, ${load.name}`) ?? []
      const base = median((results.get(`${LAYOUTS[0].name}, ${load.name}`) ?? []).map(({ rate }) => rate))
      const rate = median(figures.map((each) => each.rate))
      const ratio = name === LAYOUTS[0].name ? '' : ` (${(rate / base).toFixed(2)})`
      return [`${rate.toFixed(0)}${ratio}`, median(figures.map(({ cpuMs }) => cpuMs)).toFixed(3)]
    })
    return `| ${[name, ...cells].join(' | ')} |`
  })
  return [
    `Medians of ${rounds} interleaved rounds, ${date}, Node ${version}, on ${CORES} cores of ${cpu}, ${system}. Clients on ` +
      `${CORES > 2 ? 'other cores' : 'the second core, which they share with the second process'}. In parentheses: ÷ one process.`,
    '',
    `| | ${LOADS.map(({ name }) => `requests/s, ${name} | CPU ms/request`).join(' | ')} |`,
    `|---${'|---:'.repeat(2 * LOADS.length)}|`,
    ...rows,
  ].join('\n')
}
