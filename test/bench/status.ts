// Prints the CPU time that viewers of the live status cost.
//
//   npm run bench:status -- [--node PATH]     uses a registry in this process with blobs of any length

import { once } from 'node:events'
import { mkdirSync, writeFileSync } from 'node:fs'
import type { IncomingMessage } from 'node:http'
import https from 'node:https'
import path from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { endlessRegistry, standIdle, type Crowd, type Host } from '../fixtures/crowd.ts'
import { ALICE, ALICE_ENTRY } from '../fixtures/sidecar.ts'
import { makeTempFolder, removeFolder } from '../fixtures/temp-folder.ts'
import { startBenchSidecar } from './bench-sidecar.ts'
import { endAllChildren } from './children.ts'
import { cpuSeconds } from './process-tree.ts'
import { median } from './statistics.ts'

const GIB = 1024 ** 3
const PULLS = 200
// At most 8 viewers per user.
const VIEWERS = { alice: 5, bob: 5 } as const
const ROUNDS = 15
const WINDOW_MS = 4_000

process.once('exit', endAllChildren)
const flag = process.argv.indexOf('--node')
const node = flag === -1 ? process.execPath : (process.argv[flag + 1] ?? '')
const registry = await endlessRegistry()
const folder = makeTempFolder()
mkdirSync(path.join(folder, 'users'))
writeFileSync(path.join(folder, 'users/htpasswd'), `${ALICE_ENTRY}${ALICE_ENTRY.replace('alice', 'bob')}`)

try {
  const { host, pid } = await startBenchSidecar({
    node,
    folder,
    registryPort: registry.port,
    env: { SIDECAR_ADMIN_LISTEN: '127.0.0.1:0' },
  })
  const pulls = await pullFast(host)
  await pause(WINDOW_MS)
  const costs: { readonly alone: number; readonly watched: number }[] = []
  for (let round = 0; round < ROUNDS; round++) {
    const alone = await cpuPerGib(pid, pulls)
    const viewers = await openViewers(host)
    const watched = await cpuPerGib(pid, pulls)
    for (const viewer of viewers) viewer.destroy()
    costs.push({ alone, watched })
    console.log(`round ${round + 1}: ${alone.toFixed(3)} CPU s per GiB, with viewers ${watched.toFixed(3)}`)
  }
  const ratio = median(costs.map(({ alone, watched }) => watched / alone))
  console.log(
    `${PULLS} pulls: with 10 viewers ${((ratio - 1) * 100).toFixed(1)} % more CPU time per GiB (median)`,
  )
  pulls.leave()
} finally {
  registry.close()
  endAllChildren()
  removeFolder(folder)
}
process.exit(0)

/** No pull ends during the measurement. */
async function pullFast(host: Host): Promise<Crowd> {
  const crowd = await standIdle(host, PULLS)
  const login = Buffer.from(ALICE).toString('base64')
  const target = `/v2/x/blobs/${4096 * GIB}`
  let received = 0
  for (const socket of crowd.sockets) {
    socket.on('data', (chunk: Buffer) => (received += chunk.length))
    socket.write(`GET ${target} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Basic ${login}\r\n\r\n`)
  }
  return {
    ...crowd,
    get received() {
      return received
    },
  }
}

async function cpuPerGib(pid: number, pulls: Crowd): Promise<number> {
  const before = { cpu: cpuSeconds(pid), received: pulls.received }
  await pause(WINDOW_MS)
  return ((cpuSeconds(pid) - before.cpu) * GIB) / (pulls.received - before.received)
}

async function openViewers({ port, ca }: Host): Promise<readonly IncomingMessage[]> {
  const [, password = ''] = ALICE.split(':')
  const users = Object.entries(VIEWERS).flatMap(([user, count]) => Array<string>(count).fill(user))
  return Promise.all(
    users.map(async (user) => {
      const to = { host: '127.0.0.1', port, ca, auth: `${user}:${password}`, agent: false }
      const [response] = (await once(https.get({ ...to, path: '/-/status/events' }), 'response')) as [
        IncomingMessage,
      ]
      if (response.statusCode !== 200) throw new Error(`a viewer got ${response.statusCode ?? 0}`)
      response.on('error', () => undefined)
      response.resume()
      return response
    }),
  )
}
