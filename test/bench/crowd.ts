// Prints memory and request times while many clients hold connections.
//
//   npm run bench:crowd -- [--node PATH]     uses a registry in this process with blobs of any length

import { mkdirSync, writeFileSync } from 'node:fs'
import https from 'node:https'
import path from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { endlessRegistry, pullSlowly, standIdle, type Crowd, type Host } from '../fixtures/crowd.ts'
import { ALICE, ALICE_ENTRY } from '../fixtures/sidecar.ts'
import { makeTempFolder, removeFolder } from '../fixtures/temp-folder.ts'
import { startBenchSidecar } from './bench-sidecar.ts'
import { endAllChildren } from './children.ts'
import { peakRssMib, resetPeakRss } from './process-tree.ts'

const MIB = 1024 * 1024
const PULLS = 200
const IDLE = 2_000
const WATCH_MS = 15_000
const BLOBS = [
  ['100 MiB', 100 * MIB],
  ['1 GiB', 1024 * MIB],
  ['5 GiB', 5 * 1024 * MIB],
] as const

process.once('exit', endAllChildren)
const flag = process.argv.indexOf('--node')
const node = flag === -1 ? process.execPath : (process.argv[flag + 1] ?? '')
const registry = await endlessRegistry()
const folder = makeTempFolder()
mkdirSync(path.join(folder, 'users'))
writeFileSync(path.join(folder, 'users/htpasswd'), ALICE_ENTRY)

try {
  // The first start issues the certificate, whose memory must not count.
  await withSidecar(() => Promise.resolve())
  for (const [name, bytes] of BLOBS) {
    await withSidecar(async (host, pid) => {
      const pulls = await pullSlowly(host, { count: PULLS, path: `/v2/x/${bytes}`, as: ALICE, pauseMs: 100 })
      await watch(`${PULLS} slow pulls of ${name}`, { host, pid, crowds: [pulls] })
    })
  }
  await withSidecar(async (host, pid) => {
    const idle = await standIdle(host, IDLE)
    await watch(`${IDLE} idle connections`, { host, pid, crowds: [idle] })
    const path = `/v2/x/${1024 * MIB}`
    const pulls = await pullSlowly(host, { count: PULLS, path, as: ALICE, pauseMs: 100 })
    await watch(`and ${PULLS} slow pulls of 1 GiB`, { host, pid, crowds: [pulls, idle] })
  })
} finally {
  registry.close()
  endAllChildren()
  removeFolder(folder)
}
process.exit(0)

async function withSidecar(work: (host: Host, pid: number) => Promise<void>): Promise<void> {
  const { host, pid, kill } = await startBenchSidecar({ node, folder, registryPort: registry.port })
  await work(host, pid)
  kill()
}

interface Watched {
  readonly host: Host
  readonly pid: number
  readonly crowds: readonly Crowd[]
}

async function watch(title: string, { host, pid, crowds }: Watched): Promise<void> {
  resetPeakRss(pid)
  const received = (): number => crowds.reduce((sum, crowd) => sum + crowd.received, 0)
  const before = received()
  const start = performance.now()
  const times: number[] = []
  while (performance.now() - start < WATCH_MS) {
    times.push(await timeRequest(host))
    await pause(50)
  }
  times.sort((a, b) => a - b)
  const rate = (received() - before) / MIB / ((performance.now() - start) / 1000)
  const cut = crowds.flatMap(({ sockets }) => sockets).filter(({ destroyed }) => destroyed).length
  console.log(
    `${title.padEnd(32)} peak RSS ${peakRssMib(pid).toFixed(0)} MiB, ${rate.toFixed(0)} MiB/s in all, ${cut} cut; ` +
      `GET /v2/ ${quantile(times, 0.5)} ms (median), ${quantile(times, 0.99)} ms (99th percentile)`,
  )
}

function quantile(sorted: readonly number[], share: number): string {
  return (sorted[Math.floor((sorted.length - 1) * share)] ?? NaN).toFixed(1)
}

/** Uses a new connection, as dockerd does. */
function timeRequest({ port, ca }: Host): Promise<number> {
  const start = performance.now()
  return new Promise((resolve, reject) => {
    const request = https.get(
      { host: '127.0.0.1', port, ca, path: '/v2/', auth: ALICE, agent: false },
      (response) => {
        response.resume()
        response.on('end', () => {
          resolve(performance.now() - start)
        })
      },
    )
    request.on('error', reject)
  })
}
