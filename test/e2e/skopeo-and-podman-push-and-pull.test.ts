// Pushes and pulls with skopeo and podman, which verify the certificate.

import { execFile } from 'node:child_process'
import path from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { findProgram } from '../fixtures/find-program.ts'
import { manifestDigest, writeImage } from '../fixtures/oci-layout.ts'
import { registryProgram, startRegistry, type Registry } from '../fixtures/registry.ts'
import { ALICE, startSidecar, type TestSidecar } from '../fixtures/sidecar.ts'
import { makeTempFolder, removeFolder } from '../fixtures/temp-folder.ts'

const run = promisify(execFile)
const skopeo = findProgram('skopeo') ?? ''
const podman = findProgram('podman') ?? ''

let registry: Registry
let sidecar: TestSidecar
let folder: string
let certs: string

beforeAll(async () => {
  if (registryProgram === undefined) return
  registry = await startRegistry()
  sidecar = await startSidecar({ upstreamPort: registry.port })
  folder = makeTempFolder()
  // The folder that `trust` prints. The clients refuse the state folder because it contains keys.
  certs = path.join(sidecar.folder, 'state', 'trust')
  writeImage(path.join(folder, 'image'))
})
afterAll(async () => {
  if (registryProgram === undefined) return
  await sidecar.stop()
  await registry.stop()
  removeFolder(folder)
})

describe.skipIf(registryProgram === undefined || skopeo === '')('skopeo', () => {
  const image = () => `docker://localhost:${sidecar.port}/go/skopeo:1`
  const source = () => `oci:${path.join(folder, 'image')}:latest`

  it('pushes and pulls with equal digests', async () => {
    await run(skopeo, ['copy', '--dest-cert-dir', certs, '--dest-creds', ALICE, source(), image()])
    const back = path.join(folder, 'back')
    await run(skopeo, ['copy', '--src-cert-dir', certs, '--src-creds', ALICE, image(), `oci:${back}:latest`])
    expect(manifestDigest(back)).toBe(manifestDigest(path.join(folder, 'image')))
  })

  it('lists tags and deletes', async () => {
    const access = ['--cert-dir', certs, '--creds', ALICE]
    const { stdout } = await run(skopeo, [
      'list-tags',
      ...access,
      `docker://localhost:${sidecar.port}/go/skopeo`,
    ])
    expect(JSON.parse(stdout)).toMatchObject({ Tags: ['1'] })
    await run(skopeo, ['delete', ...access, image()])
    await expect(run(skopeo, ['inspect', ...access, image()])).rejects.toThrow(/manifest unknown/)
  })

  it('refuses the state folder as --cert-dir, so the root has another folder', async () => {
    const access = ['--cert-dir', path.dirname(certs), '--creds', ALICE]
    await expect(run(skopeo, ['inspect', ...access, image()])).rejects.toThrow(
      /missing client certificate leaf\.cert/,
    )
  })

  it('does not trust the sidecar without its root', async () => {
    await expect(run(skopeo, ['inspect', '--creds', ALICE, image()])).rejects.toThrow(/x509/)
  })

  it('is refused with a wrong password', async () => {
    const wrong = ['inspect', '--cert-dir', certs, '--creds', 'alice:wrong', image()]
    await expect(run(skopeo, wrong)).rejects.toThrow(/authentication required|unauthorized/)
  })
})

describe.skipIf(registryProgram === undefined || podman === '')('podman', () => {
  // A separate storage with a driver that needs no kernel support.
  const inOwnStorage = () => {
    const storage = path.join(folder, 'podman')
    return [
      '--root',
      path.join(storage, 'root'),
      '--runroot',
      path.join(storage, 'run'),
      '--storage-driver',
      'vfs',
    ]
  }
  const authFile = () => path.join(folder, 'auth.json')
  const call = (...args: string[]) => run(podman, [...inOwnStorage(), ...args], { cwd: folder })
  const image = () => `localhost:${sidecar.port}/go/podman:1`

  it('logs in, pushes and pulls', { timeout: 120_000 }, async () => {
    const access = ['--cert-dir', certs, '--authfile', authFile()]
    const [name = '', password = ''] = ALICE.split(':')
    await call('login', ...access, '-u', name, '-p', password, `localhost:${sidecar.port}`)
    await call('pull', 'oci:image:latest')
    const { stdout } = await call('images', '-q', '--no-trunc')
    const id = stdout.trim().split('\n')[0] ?? ''
    await call('push', ...access, id, image())
    await call('rmi', '-f', id)
    const pulled = await call('pull', '-q', ...access, image())
    expect(`sha256:${pulled.stdout.trim()}`).toBe(id)
  })

  it('is refused with a wrong password', async () => {
    const login = ['login', '--cert-dir', certs, '--authfile', path.join(folder, 'wrong.json')]
    const attempt = call(...login, '-u', 'alice', '-p', 'wrong', `localhost:${sidecar.port}`)
    await expect(attempt).rejects.toThrow(/invalid username\/password/)
  })
})
