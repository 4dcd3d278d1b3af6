import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import https from 'node:https'
import path from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { residentMib } from '../bench/process-tree.ts'
import { portOf, start } from '../fixtures/process.ts'
import { answering, OK, upstreamForTest } from '../fixtures/programmable-upstream.ts'
import { ALICE, ALICE_ENTRY } from '../fixtures/sidecar.ts'
import { tempFolder } from '../fixtures/temp-folder.ts'

const REQUESTS = 30_000
const WARM_UP = REQUESTS / 2
const CONNECTIONS = 8
// A record of each request with its long names would take 100,000 times 2 KiB.
const MOST_MIB = 60

it.runIf(process.platform === 'linux')(
  `${REQUESTS} requests for different images leave memory flat`,
  { timeout: 600_000 },
  async () => {
    const upstream = await upstreamForTest(answering(OK))
    const folder = tempFolder()
    mkdirSync(path.join(folder, 'users'))
    writeFileSync(path.join(folder, 'users/htpasswd'), ALICE_ENTRY)
    const sidecar = start(['serve'], {
      cwd: folder,
      env: {
        SIDECAR_UPSTREAM: `http://127.0.0.1:${upstream.port}`,
        SIDECAR_LISTEN: '127.0.0.1:0',
        SIDECAR_ADMIN_LISTEN: 'off',
        SIDECAR_LOG_FORMAT: 'json',
      },
    })
    const host = { host: '127.0.0.1', port: await portOf(sidecar) }
    const ca = readFileSync(path.join(folder, 'state/root.crt'))
    const agent = new https.Agent({ keepAlive: true, maxSockets: CONNECTIONS, ca })
    onTestFinished(() => {
      agent.destroy()
    })
    const pid = sidecar.child.pid ?? 0
    let count = 0

    const pull = (): Promise<void> =>
      new Promise((resolve, reject) => {
        const target = `/v2/${'x'.repeat(60)}/${++count}/manifests/${'t'.repeat(60)}${count}`
        const headers = { 'user-agent': `${count} ${'a'.repeat(1_000)}` }
        https
          .get({ ...host, agent, auth: ALICE, path: target, headers }, (response) => {
            response.resume()
            response.on('end', resolve)
          })
          .on('error', reject)
      })
    const pullUntil = (last: number) =>
      Promise.all(
        Array.from({ length: CONNECTIONS }, async () => {
          while (count < last) await pull()
        }),
      )

    await pullUntil(WARM_UP)
    const before = residentMib(pid)
    await pullUntil(REQUESTS)
    expect(residentMib(pid) - before).toBeLessThan(MOST_MIB)
  },
)
