// Collects garbage and restarts the real registry again and again, while clients push all the time.

import { execFile } from 'node:child_process'
import path from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { promisify } from 'node:util'
import { expect, it, onTestFinished } from 'vitest'
import { startCleanedRegistry } from '../fixtures/cleaned-registry.ts'
import { createImage, deleteImage, missingFrom, pushLikeDocker } from '../fixtures/docker-push.ts'
import { findProgram } from '../fixtures/find-program.ts'
import { writeImage } from '../fixtures/oci-layout.ts'
import { run } from '../fixtures/process.ts'
import { registryProgram } from '../fixtures/registry.ts'
import { repetitions } from '../fixtures/repetitions.ts'
import { ALICE, sidecarForTest } from '../fixtures/sidecar.ts'
import { tempFolder } from '../fixtures/temp-folder.ts'
import { until } from '../fixtures/until.ts'

const ROUNDS = repetitions({ usual: 2, stress: 20 })
const ROUND_MS = 60_000
// Without a pause, the clients would use all processors. It is short against the time after which a repository is quiet.
const PAUSE_MS = repetitions({ usual: 300, stress: 0 })

// The 15 s until a repository is quiet pass in 3 s, so that the rounds take less time.
const SPEED = 5

const skopeo = findProgram('skopeo')

it.skipIf(registryProgram === undefined || skopeo === undefined)(
  `loses no image in ${ROUNDS} garbage collections during pushes, and fails no client`,
  { timeout: ROUNDS * ROUND_MS },
  async () => {
    const registry = await startCleanedRegistry()
    onTestFinished(() => {
      registry.stop()
    })
    const sidecar = await sidecarForTest({
      upstreamPort: registry.port,
      freezeClock: { monotonicMs: () => SPEED * performance.now() },
    })
    const folder = tempFolder()
    const certs = path.join(sidecar.folder, 'state', 'trust')
    const done = new Map<string, string[]>()
    const test = { isOver: false }

    /** Repeats a push until the test is over. Each takes the number of the last one, and resolves to the image's name. */
    async function repeat(client: string, push: (count: number) => Promise<string>): Promise<void> {
      const names: string[] = []
      done.set(client, names)
      while (!test.isOver) {
        names.push(await push(names.length))
        await pause(PAUSE_MS)
      }
    }

    // Into one repository, so that it never becomes quiet by itself.
    const sameRepository = repeat('same', async (count) => {
      const name = `same/app:${count}`
      await pushLikeDocker(sidecar, name, createImage())
      return name
    })
    const manyRepositories = repeat('many', async (count) => {
      const name = `many/app-${count}:1`
      await pushLikeDocker(sidecar, name, createImage())
      return name
    })
    // The layers of a deleted image are garbage, but the registry still says that it has them.
    const deleted = createImage()
    const deleting = repeat('deleted', async () => {
      await pushLikeDocker(sidecar, 'deleted/app:1', deleted)
      await deleteImage(sidecar, 'deleted/app', deleted)
      await pushLikeDocker(sidecar, 'deleted/app:1', deleted)
      return 'deleted/app:1'
    })
    const bySkopeo = repeat('skopeo', async (count) => {
      const layout = path.join(folder, `image-${count}`)
      writeImage(layout, 100_000)
      const name = `skopeo/app:${count}`
      const access = ['--dest-cert-dir', certs, '--dest-creds', ALICE]
      const image = `docker://localhost:${sidecar.port}/${name}`
      await promisify(execFile)(skopeo ?? '', ['copy', ...access, `oci:${layout}:latest`, image])
      return name
    })
    const clients = Promise.all([sameRepository, manyRepositories, deleting, bySkopeo])
    // Awaited below.
    clients.catch(() => (test.isOver = true))

    const counts = () => [...done.values()].map((names) => names.length)
    const env = {
      SIDECAR_STATE_DIR: path.join(sidecar.folder, 'state'),
      SIDECAR_UPSTREAM: `http://127.0.0.1:${registry.port}`,
    }
    for (let round = 0; round < ROUNDS && !test.isOver; round++) {
      const before = counts()
      const progress = () => test.isOver || counts().every((count, index) => count > (before[index] ?? 0))
      await until(progress, { deadlineMs: ROUND_MS, what: 'a push of each client' })
      const command = ['freeze', '--for', '2m', '--wait', '30s', '--', ...registry.cleanAndRestart]
      expect(await run(command, { env })).toMatchObject({ code: 0, stderr: '' })
      expect(registry.collected()).toMatch(/blobs marked/)
    }
    test.isOver = true
    await clients

    const names = new Set([...done.values()].flat())
    expect(names.size).toBeGreaterThan(3 * ROUNDS)
    const incomplete = await Promise.all(
      [...names].map(async (name) => [name, await missingFrom(sidecar, name)] as const),
    )
    expect(incomplete.filter(([, missing]) => missing.length > 0)).toEqual([])
  },
)
