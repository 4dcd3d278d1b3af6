// dockerd, podman, skopeo and containerd use a registry with public and private images.
//
// Each client knows the root from its own certs.d folder only, never from the roots of the system.

import { execFile, execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loginOf, usersFileOf } from '../fixtures/access-scene.ts'
import { hasContainerd, startContainerd, type Containerd } from '../fixtures/containerd.ts'
import { imageId, trustFolder, trustRoot } from '../fixtures/docker-client.ts'
import { bridgeAddress, docker, hasEngine, isRoot } from '../fixtures/engine.ts'
import { findProgram } from '../fixtures/find-program.ts'
import { writeImage } from '../fixtures/oci-layout.ts'
import { registryProgram, startRegistry, type Registry } from '../fixtures/registry.ts'
import { startSidecar, type TestSidecar } from '../fixtures/sidecar.ts'
import { makeTempFolder, removeFolder } from '../fixtures/temp-folder.ts'

const [skopeo = '', podman = ''] = [findProgram('skopeo'), findProgram('podman')]
const canRun = hasEngine() && isRoot() && registryProgram !== undefined && skopeo !== ''
const LAYER_BYTES = 200_000
const DEV = loginOf('dev')
const [NAME = '', PASSWORD = ''] = DEV.split(':')
const RULES = `rules:
  - {who: anonymous, repositories: ["public/**"], allow: [pull]}
  - {who: dev, repositories: ["**"], allow: [pull, push]}
`

// Needs root, because trusted roots are files below /etc.
describe.skipIf(!canRun)('with public and private images', { timeout: 120_000 }, () => {
  const folder = makeTempFolder()
  const noRoots = path.join(folder, 'no-roots')
  const withoutSystemRoots = { ...process.env, SSL_CERT_FILE: '/dev/null', SSL_CERT_DIR: noRoots }
  const layout = `oci:${path.join(folder, 'image')}:latest`
  let registry: Registry | undefined
  let sidecar: TestSidecar | undefined
  let host = ''
  let certs = ''

  const run = (program: string, ...args: readonly string[]) =>
    promisify(execFile)(program, [...args], { cwd: folder, env: withoutSystemRoots })

  beforeAll(async () => {
    mkdirSync(noRoots)
    // An address outside the loopback, where the engine verifies certificates.
    const address = await bridgeAddress()
    registry = await startRegistry()
    const rulesFile = path.join(folder, 'access.yaml')
    writeFileSync(rulesFile, RULES)
    sidecar = await startSidecar({
      upstreamPort: registry.port,
      users: usersFileOf(['dev']),
      env: { SIDECAR_LISTEN: `${address}:0`, SIDECAR_HOSTS: address, SIDECAR_ACCESS: rulesFile },
    })
    host = `${address}:${sidecar.port}`
    certs = trustFolder(host)
    trustRoot(host, sidecar.root.pem)
    writeImage(path.join(folder, 'image'), LAYER_BYTES)
    const access = ['--dest-cert-dir', certs, '--dest-creds', DEV]
    for (const name of ['public/app', 'secret/app'])
      await run(skopeo, 'copy', ...access, layout, `docker://${host}/${name}:1`)
  })
  afterAll(async () => {
    removeFolder(certs)
    await sidecar?.stop()
    await registry?.stop()
    removeFolder(folder)
  })

  it('dockerd', async () => {
    const config = path.join(folder, 'docker')
    const client = (args: readonly string[], input = '') =>
      docker(args, { env: { DOCKER_CONFIG: config }, input })
    const image = (name: string) => `${host}/${name}`
    const images: string[] = []
    const pull = async (name: string) => {
      images.push(image(name))
      await client(['pull', image(name)])
    }
    try {
      await pull('public/app:1')
      await expect(pull('secret/app:1')).rejects.toThrow(/denied|unauthorized|authentication required/)
      writeFileSync(path.join(folder, 'layer.bin'), randomBytes(LAYER_BYTES))
      execFileSync('tar', ['-cf', 'docker.tar', 'layer.bin'], { cwd: folder })
      images.push(image('team/docker:1'), image('team/docker-again:1'))
      await client(['import', path.join(folder, 'docker.tar'), image('team/docker:1')])
      await expect(client(['push', image('team/docker:1')])).rejects.toThrow(
        /denied|unauthorized|authentication/,
      )

      const login = ['login', host, '-u', NAME, '--password-stdin']
      await expect(client(login, 'wrong password')).rejects.toThrow(/unauthorized/)
      expect((await client(login, PASSWORD)).stdout).toContain('Login Succeeded')
      await pull('secret/app:1')
      const id = await imageId(image('team/docker:1'))
      await client(['push', image('team/docker:1')])
      await client(['image', 'rm', image('team/docker:1')])
      await pull('team/docker:1')
      expect(await imageId(image('team/docker:1'))).toBe(id)
      await client(['tag', image('team/docker:1'), image('team/docker-again:1')])
      const mounted = await client(['push', image('team/docker-again:1')])
      expect(mounted.stdout).toContain('Mounted from team/docker')

      await client(['logout', host])
      for (const name of ['public/app:1', 'secret/app:1']) await client(['image', 'rm', image(name)])
      await pull('public/app:1')
      await expect(pull('secret/app:1')).rejects.toThrow(/denied|unauthorized|authentication required/)
    } finally {
      for (const name of images) await client(['image', 'rm', '-f', name]).catch(() => undefined)
    }
  })

  it('skopeo', async () => {
    const authFile = path.join(folder, 'skopeo.json')
    const image = (name: string) => `docker://${host}/${name}`
    const pull = (name: string) =>
      run(
        skopeo,
        'copy',
        '--src-cert-dir',
        certs,
        '--authfile',
        authFile,
        image(name),
        `dir:${folder}/pulled`,
      )
    const push = (name: string) =>
      run(skopeo, 'copy', '--dest-cert-dir', certs, '--authfile', authFile, layout, image(name))
    const isRefused = /unauthorized|authentication required|denied/
    const login = (password: string) =>
      run(skopeo, 'login', '--cert-dir', certs, '--authfile', authFile, '-u', NAME, '-p', password, host)
    writeFileSync(authFile, '{}')

    await pull('public/app:1')
    await expect(pull('secret/app:1')).rejects.toThrow(isRefused)
    await expect(push('team/skopeo:1')).rejects.toThrow(isRefused)
    await expect(login('wrong password')).rejects.toThrow(/invalid username\/password/)
    await login(PASSWORD)
    await pull('secret/app:1')
    await push('team/skopeo:1')
    await pull('team/skopeo:1')
    const both = ['--src-cert-dir', certs, '--dest-cert-dir', certs, '--authfile', authFile]
    await run(skopeo, 'copy', ...both, image('team/skopeo:1'), image('team/skopeo-again:1'))
    await run(skopeo, 'logout', '--authfile', authFile, host)
    await pull('public/app:1')
    await expect(pull('secret/app:1')).rejects.toThrow(isRefused)
  })

  it.skipIf(podman === '')('podman', async () => {
    const storage = ['--root', path.join(folder, 'podman'), '--runroot', path.join(folder, 'podman-run')]
    const call = (...args: readonly string[]) => run(podman, ...storage, '--storage-driver', 'vfs', ...args)
    const authFile = path.join(folder, 'podman.json')
    writeFileSync(authFile, '{}')
    const access = ['--cert-dir', certs, '--authfile', authFile]
    const image = (name: string) => `${host}/${name}`
    const pull = (name: string) => call('pull', '-q', ...access, image(name))
    const isRefused = /unauthorized|authentication required|denied/

    const id = (await pull('public/app:1')).stdout.trim()
    await expect(pull('secret/app:1')).rejects.toThrow(isRefused)
    await expect(call('push', ...access, id, image('team/podman:1'))).rejects.toThrow(isRefused)
    await expect(call('login', ...access, '-u', NAME, '-p', 'wrong password', host)).rejects.toThrow(
      /invalid username\/password/,
    )
    await call('login', ...access, '-u', NAME, '-p', PASSWORD, host)
    await pull('secret/app:1')
    for (const name of ['team/podman:1', 'team/podman-again:1'])
      await call('push', ...access, id, image(name))
    await pull('team/podman-again:1')
    await call('logout', '--authfile', authFile, host)
    await pull('public/app:1')
    await expect(pull('secret/app:1')).rejects.toThrow(isRefused)
  })

  describe.skipIf(!hasContainerd)('containerd', () => {
    let containerd: Containerd | undefined
    const hosts = path.join(folder, 'hosts')
    const image = (name: string) => `${host}/${name}`
    const ctr = (...args: readonly string[]) =>
      containerd?.ctr(...args) ?? Promise.reject(new Error('not started'))
    const pull = (name: string, ...access: readonly string[]) =>
      ctr('content', 'fetch', '--hosts-dir', hosts, ...access, image(name))
    const push = (name: string, ...access: readonly string[]) =>
      ctr('images', 'push', '--hosts-dir', hosts, ...access, image(name))

    beforeAll(async () => {
      containerd = await startContainerd()
      const own = path.join(hosts, host)
      mkdirSync(own, { recursive: true })
      writeFileSync(path.join(own, 'ca.crt'), sidecar?.root.pem ?? '')
      writeFileSync(
        path.join(own, 'hosts.toml'),
        `server = "https://${host}"\n[host."https://${host}"]\n  ca = "${own}/ca.crt"\n`,
      )
    })
    afterAll(() => containerd?.stop())

    it('through ctr', async () => {
      const access = ['--user', DEV]
      const isRefused = /authorization failed|401 Unauthorized|403 Forbidden|no basic auth|pull access denied/
      await pull('public/app:1')
      await expect(pull('secret/app:1')).rejects.toThrow(isRefused)
      await ctr('images', 'tag', image('public/app:1'), image('team/ctr:1'))
      await expect(push('team/ctr:1')).rejects.toThrow(isRefused)
      await expect(pull('secret/app:1', '--user', `${NAME}:wrong password`)).rejects.toThrow(isRefused)
      await pull('secret/app:1', ...access)
      // Its blobs come from public/app, so containerd mounts them.
      await push('team/ctr:1', ...access)
      await pull('team/ctr:1', ...access)
      // ctr stores no login, so this is the state after a log out.
      await pull('public/app:1')
      await expect(pull('secret/app:1')).rejects.toThrow(isRefused)
    })
  })

  it('the log names what anonymous got: public images and tokens', () => {
    const requests = sidecar?.lines.filter(({ msg }) => msg === 'request') ?? []
    const pulled = requests.filter(({ anonymous, status }) => anonymous === true && status === 200)
    expect(pulled.length).toBeGreaterThan(0)
    expect(pulled.filter(({ path }) => !/^\/(?:token$|v2\/public\/)/.test(String(path)))).toEqual([])
  })
})
