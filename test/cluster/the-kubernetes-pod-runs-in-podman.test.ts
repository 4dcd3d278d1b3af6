// podman runs the pod of docker/kubernetes, with the sidecar as a plain container.

import { execFile } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { promisify } from 'node:util'
import bcrypt from 'bcryptjs'
import { stringify } from 'yaml'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { docker, hasEngine, isRoot } from '../fixtures/engine.ts'
import { findProgram } from '../fixtures/find-program.ts'
import { buildObjects, type KubernetesObject } from '../fixtures/kubernetes.ts'
import { manifestDigest, writeImage } from '../fixtures/oci-layout.ts'
import { buildSidecarImage, copyProject, SIDECAR_IMAGE } from '../fixtures/sidecar-image.ts'
import { startSidecar } from '../fixtures/sidecar.ts'
import { makeTempFolder, removeFolder } from '../fixtures/temp-folder.ts'
import { until } from '../fixtures/until.ts'

const run = promisify(execFile)
const [kustomize = '', podman = '', skopeo = ''] = ['kustomize', 'podman', 'skopeo'].map((name) =>
  findProgram(name),
)
// Pods of podman need this program.
const hasPods = findProgram('catatonit') !== undefined
const isPossible =
  [kustomize, podman, skopeo].every((program) => program !== '') && hasPods && hasEngine() && isRoot()

const [TLS_PORT, ADMIN_PORT] = [18_443, 18_444]
const USER = 'ann:a password of ann'

describe.skipIf(!isPossible)('the pod of docker/kubernetes', { timeout: 300_000 }, () => {
  let folder: string
  let certs: string
  const call = (...args: readonly string[]) => {
    const storage = ['--root', path.join(folder, 'podman'), '--runroot', path.join(folder, 'podman-run')]
    const env = { ...process.env, CONTAINERS_CONF: path.join(folder, 'containers.conf') }
    return run(podman, [...storage, ...args], { cwd: folder, env })
  }

  beforeAll(async () => {
    folder = makeTempFolder()
    // The limits of this machine may be lower than those that podman sets by default.
    const limits = 'default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]'
    writeFileSync(path.join(folder, 'containers.conf'), `[containers]\n${limits}\n`)
    copyProject(path.join(folder, 'project'))
    await buildSidecarImage(path.join(folder, 'project'))
    await loadImages()
    certs = await createSecrets()
    const objects = buildObjects({
      kustomize,
      folder: path.join(folder, 'installation'),
      components: ['plain'],
      images: [
        { name: 'registry', newName: 'localhost/registry', newTag: '2' },
        { name: 'registry-sidecar', newName: 'localhost/registry-sidecar', newTag: 'e2e' },
      ],
    })
    writeFileSync(path.join(folder, 'pod.yaml'), objects.map((object) => forPodman(object)).join('---\n'))
    await call('kube', 'play', 'pod.yaml')
  }, 300_000)
  afterAll(async () => {
    if (!isPossible) return
    await call('pod', 'rm', '--force', '--all', '--time', '5')
    await call('volume', 'rm', '--force', '--all')
    // Unmounts what the storage keeps mounted, so that the folder can be removed.
    await call('system', 'reset', '--force')
    removeFolder(folder)
  })

  it('gets ready, serves pushes and pulls, and ends without an error', async () => {
    await until(isReady, { deadlineMs: 60_000, what: 'the pod is ready' }).catch(async (error: unknown) => {
      const { stdout } = await call('pod', 'logs', 'registry-pod-0')
      throw new Error(`the pod is not ready; it logged:\n${stdout}`, { cause: error })
    })
    const image = `docker://localhost:${TLS_PORT}/team/app:1`
    const [source, back] = [path.join(folder, 'image'), path.join(folder, 'back')]
    writeImage(source)
    await run(skopeo, ['copy', '--dest-cert-dir', certs, '--dest-creds', USER, `oci:${source}:latest`, image])
    await run(skopeo, ['copy', '--src-cert-dir', certs, '--src-creds', USER, image, `oci:${back}:latest`])
    expect(manifestDigest(back)).toBe(manifestDigest(source))

    // The registry is bound to 127.0.0.1 of the pod.
    const { stdout: addresses } = await call('exec', 'registry-pod-0-registry', 'cat', '/proc/net/tcp')
    expect(addresses).toContain('0100007F:1388')
    expect(addresses).not.toContain('00000000:1388')

    await call('pod', 'stop', '--time', '60', 'registry-pod-0')
    const { stdout } = await call('inspect', '--format', '{{.State.ExitCode}}', 'registry-pod-0-sidecar')
    expect(stdout.trim()).toBe('0')
  })

  async function loadImages(): Promise<void> {
    const archive = path.join(folder, 'images.tar')
    await docker(['save', '-o', archive, 'registry:2', SIDECAR_IMAGE])
    await call('load', '-i', archive)
  }

  /** Returns the folder with the root, for skopeo. */
  async function createSecrets(): Promise<string> {
    const sidecar = await startSidecar()
    const state = path.join(sidecar.folder, 'state')
    const [root = '', rootKey = ''] = ['root.crt', 'root.key'].map((name) =>
      readFileSync(path.join(state, name), 'utf8'),
    )
    await sidecar.stop()
    const [name = '', password = ''] = USER.split(':')
    await createSecret('registry-users', { htpasswd: `${name}:${bcrypt.hashSync(password, 4)}\n` })
    await createSecret('registry-root', {
      'root.crt': root,
      'root.key': rootKey,
      'token.key': 'k'.repeat(32),
    })
    // podman 4.3 reads a Secret of an environment variable in another form than one of a volume.
    await storeSecret('registry-http', { secret: Buffer.from('a common secret').toString('base64') })
    const trusted = path.join(folder, 'certs')
    mkdirSync(trusted)
    writeFileSync(path.join(trusted, 'ca.crt'), root)
    return trusted
  }

  // podman 4.3 writes the data of a Secret to files without decoding it.
  const createSecret = (name: string, data: Readonly<Record<string, string>>): Promise<void> =>
    storeSecret(name, { apiVersion: 'v1', kind: 'Secret', metadata: { name }, data })

  async function storeSecret(name: string, content: unknown): Promise<void> {
    const file = path.join(folder, 'secret.json')
    writeFileSync(file, JSON.stringify(content), { mode: 0o600 })
    await call('secret', 'create', name, file)
  }
})

async function isReady(): Promise<boolean> {
  try {
    return (await fetch(`http://127.0.0.1:${ADMIN_PORT}/readyz`)).ok
  } catch {
    return false
  }
}

/** podman 4.3 crashes if `optional` of a mounted Secret is left out, and publishes each port of a container. */
function forPodman(object: KubernetesObject): string {
  const withOptional = JSON.stringify(object, (key, value: unknown) => {
    if (key === 'secret') return { ...(value as object), optional: false }
    return key === 'ports' && object.kind === 'Deployment' ? portsOnHost(value as readonly Port[]) : value
  })
  return stringify(JSON.parse(withOptional))
}

interface Port {
  readonly name: string
}

function portsOnHost(ports: readonly Port[]): readonly unknown[] {
  return ports.map((port) => ({
    ...port,
    hostIP: '127.0.0.1',
    hostPort: port.name === 'https' ? TLS_PORT : ADMIN_PORT,
  }))
}
