// Replaces a running sidecar many times on the same port, while clients push and pull.

import { execFile } from 'node:child_process'
import path from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, it, onTestFinished } from 'vitest'
import { findProgram } from '../fixtures/find-program.ts'
import { writeImage } from '../fixtures/oci-layout.ts'
import { run, type Running } from '../fixtures/process.ts'
import { createPushingClient } from '../fixtures/pushing-client.ts'
import { registryProgram, startRegistry } from '../fixtures/registry.ts'
import { repetitions } from '../fixtures/repetitions.ts'
import { canReusePort } from '../fixtures/reuse-port.ts'
import { LOGIN, sharedPortForTest, type SharedPort } from '../fixtures/shared-port.ts'
import { tempFolder } from '../fixtures/temp-folder.ts'

const UPDATES = repetitions({ usual: 4, stress: 20 })
const skopeo = findProgram('skopeo')

interface Load {
  readonly failures: readonly string[]
  /** Images that each client pushed and pulled. */
  readonly done: Readonly<Record<string, number>>
  finish(): Promise<void>
}

/** Repeats each task until `finish`. A task never repeats a request. */
function repeat(tasks: Readonly<Record<string, (round: number) => Promise<unknown>>>): Load {
  const failures: string[] = []
  const done: Record<string, number> = {}
  let isOver = false
  const running = Object.entries(tasks).map(async ([name, task]) => {
    done[name] = 0
    for (let round = 1; !isOver; round += 1) {
      try {
        await task(round)
        done[name] = round
      } catch (error) {
        failures.push(`${name}, round ${round}: ${String(error)}`)
      }
    }
  })
  return {
    failures,
    done,
    finish: async () => {
      isOver = true
      await Promise.all(running)
    },
  }
}

function loadOn({ port, root, folder }: SharedPort): Load {
  const client = (connections: 'kept' | 'new', bodyMs = 0) => {
    const created = createPushingClient({ port, root, login: LOGIN, connections, bodyMs })
    onTestFinished(() => {
      created.close()
    })
    return (repository: string) => (round: number) => created.pushAndPull(repository, `v${round}`)
  }
  return repeat({
    kept: client('kept')('kept'),
    new: client('new')('new'),
    // Its pushes take longer than the drain delay.
    slow: client('kept', 1_500)('slow'),
    ...(skopeo === undefined ? {} : { skopeo: skopeoTask(skopeo, { port, folder }) }),
  })
}

/** skopeo repeats no copy. Inside a copy it continues a layer that broke off, and waits after 429. */
function skopeoTask(program: string, { port, folder }: Pick<SharedPort, 'port' | 'folder'>) {
  const [image, back] = [path.join(tempFolder(), 'image'), path.join(tempFolder(), 'back')]
  writeImage(image, 1_000_000)
  const certs = path.join(folder, 'state', 'trust')
  const copy = (args: readonly string[]) => promisify(execFile)(program, ['copy', ...args])
  return async (round: number) => {
    const remote = `docker://localhost:${port}/skopeo/app:v${round}`
    await copy(['--dest-cert-dir', certs, '--dest-creds', LOGIN, `oci:${image}:latest`, remote])
    await copy(['--src-cert-dir', certs, '--src-creds', LOGIN, remote, `oci:${back}:v${round}`])
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
        const registry = await startRegistry()
        onTestFinished(() => registry.stop())
        const env = { SIDECAR_DRAIN_DELAY: '500ms', SIDECAR_DRAIN_TIMEOUT: '60s' }
        const shared = await sharedPortForTest({ upstreamPort: registry.port, env })
        let sidecar = await shared.startNext()
        const load = loadOn(shared)
        for (let updates = 0; updates < UPDATES; updates += 1) sidecar = await update(shared, sidecar)
        await load.finish()
        expect(load.failures).toEqual([])
        for (const images of Object.values(load.done)) expect(images).toBeGreaterThan(1)
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
