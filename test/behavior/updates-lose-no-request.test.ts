// Replaces a running sidecar many times on the same port, while clients push and pull.

import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import path from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, it, onTestFinished } from 'vitest'
import { findProgram } from '../fixtures/find-program.ts'
import { migratingNetworkForTest } from '../fixtures/network-namespace.ts'
import { writeImage } from '../fixtures/oci-layout.ts'
import { run, type Running } from '../fixtures/process.ts'
import type { PushReport, PushTask } from '../fixtures/push-until-stopped.ts'
import { registryProgram, startRegistry } from '../fixtures/registry.ts'
import { repetitions } from '../fixtures/repetitions.ts'
import { canReusePort } from '../fixtures/reuse-port.ts'
import { LOGIN, sharedPortForTest, type SharedPort } from '../fixtures/shared-port.ts'
import { tempFolder } from '../fixtures/temp-folder.ts'

const UPDATES = repetitions({ usual: 4, stress: 20 })
const CLIENT = path.join(import.meta.dirname, '..', 'fixtures', 'push-until-stopped.ts')
const skopeo = findProgram('skopeo')

interface Load {
  /** Resolves when each client has finished its image. */
  finish(): Promise<Readonly<Record<string, PushReport>>>
}

interface Network {
  readonly shared: SharedPort
  readonly within: readonly string[]
}

/** None of these clients repeats a request. */
function loadOn(network: Network): Load {
  const clients = {
    kept: startClient(network, { repository: 'kept', connections: 'kept' }),
    new: startClient(network, { repository: 'new', connections: 'new' }),
    // Its pushes take longer than the drain delay.
    slow: startClient(network, { repository: 'slow', connections: 'kept', bodyMs: 1_500 }),
    ...(skopeo === undefined ? {} : { skopeo: repeatSkopeo(skopeo, network) }),
  }
  return {
    finish: async () => {
      const reports = Object.entries(clients).map(async ([name, stop]) => [name, await stop()] as const)
      return Object.fromEntries(await Promise.all(reports))
    },
  }
}

type Stop = () => Promise<PushReport>

function startClient(
  { shared: { port, folder }, within }: Network,
  shape: Pick<PushTask, 'repository' | 'connections' | 'bodyMs'>,
): Stop {
  const task: PushTask = { port, rootFile: path.join(folder, 'state', 'root.crt'), login: LOGIN, ...shape }
  const [program, ...args] = [...within, process.execPath, '--import', 'tsx', CLIENT, JSON.stringify(task)]
  const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'] })
  onTestFinished(() => {
    child.kill('SIGKILL')
  })
  let output = ''
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()))
  const ended = once(child, 'close')
  return async () => {
    child.stdin.end()
    await ended
    return JSON.parse(output) as PushReport
  }
}

/** skopeo repeats no copy. Inside a copy it continues a layer that broke off, and waits after 429. */
function repeatSkopeo(program: string, { shared: { port, folder }, within }: Network): Stop {
  const [image, back] = [path.join(tempFolder(), 'image'), path.join(tempFolder(), 'back')]
  writeImage(image, 1_000_000)
  const certs = path.join(folder, 'state', 'trust')
  const copy = (args: readonly string[]) => {
    const [first = '', ...rest] = [...within, program, 'copy', ...args]
    return promisify(execFile)(first, rest)
  }
  const pushAndPull = async (round: number): Promise<void> => {
    const remote = `docker://localhost:${port}/skopeo/app:v${round}`
    await copy(['--dest-cert-dir', certs, '--dest-creds', LOGIN, `oci:${image}:latest`, remote])
    await copy(['--src-cert-dir', certs, '--src-creds', LOGIN, remote, `oci:${back}:v${round}`])
  }
  const failures: string[] = []
  let [images, isOver] = [0, false]
  const running = (async () => {
    for (let round = 1; !isOver; round += 1) {
      await pushAndPull(round).then(
        () => (images += 1),
        (error: unknown) => failures.push(`skopeo, round ${round}: ${String(error)}`),
      )
    }
  })()
  return async () => {
    isOver = true
    await running
    return { images, failures }
  }
}

async function update(shared: SharedPort, old: Running): Promise<Running> {
  const next = await shared.startNext()
  old.child.kill('SIGTERM')
  expect(await old.finished).toMatchObject({ code: 0, signal: null, stderr: '' })
  return next
}

if (canReusePort) {
  describe.skipIf(registryProgram === undefined)('updates', () => {
    it(
      `${UPDATES} updates under push and pull lose no request`,
      { timeout: 60_000 + UPDATES * 20_000 },
      async () => {
        const registry = await startRegistry({ on: 'socket' })
        onTestFinished(() => registry.stop())
        const env = { SIDECAR_DRAIN_DELAY: '500ms', SIDECAR_DRAIN_TIMEOUT: '60s' }
        const within = await migratingNetworkForTest()
        const shared = await sharedPortForTest({ upstream: registry.upstream, within, env })
        let sidecar = await shared.startNext()
        const load = loadOn({ shared, within })
        for (let updates = 0; updates < UPDATES; updates += 1) sidecar = await update(shared, sidecar)
        const reports = await load.finish()
        for (const [name, { images, failures }] of Object.entries(reports)) {
          expect(failures, name).toEqual([])
          expect(images, name).toBeGreaterThan(1)
        }
      },
    )
  })
} else {
  it('a port is not shared by this Node, and the reason is given', async () => {
    const env = { SIDECAR_REUSE_PORT: 'true' }
    const { code, stderr } = await run([], { cwd: tempFolder(), env })
    expect(code).toBe(64)
    expect(stderr).toMatch(
      /SIDECAR_REUSE_PORT: (?:Node v\S+ cannot share a port; use Node 22\.12 or later|only Linux)/,
    )
  })
}
