// Runs the image as any user, with a read-only file system, and on a base without a shell.

import https from 'node:https'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { docker, hasEngine } from '../fixtures/engine.ts'
import { productionPackages } from '../fixtures/production-packages.ts'
import {
  buildImage,
  buildShellLessImage,
  buildSidecarImage,
  copyProject,
  SHELL_LESS_IMAGE,
  SIDECAR_IMAGE,
} from '../fixtures/sidecar-image.ts'
import { registerLogin } from '../fixtures/run-logs.ts'
import { makeTempFolder, removeFolder } from '../fixtures/temp-folder.ts'
import { until } from '../fixtures/until.ts'

const NAME = `sidecar-image-e2e-${process.pid}`
const REGISTRY = `${NAME}-registry`
const LABELED = `registry-sidecar:e2e-labeled-${process.pid}`
const FEW_RIGHTS = ['--read-only', '--cap-drop', 'ALL', '--security-opt', 'no-new-privileges']
// No user of the image.
const UID = 4321

const isRunnable = hasEngine()
const copy = makeTempFolder()

beforeAll(async () => {
  if (!isRunnable) return
  copyProject(copy)
  await buildSidecarImage(copy)
  await buildShellLessImage(copy)
  await docker(['network', 'create', NAME])
  await docker(['run', '-d', '--name', REGISTRY, '--network', NAME, 'registry:2'])
}, 600_000)
afterAll(async () => {
  removeFolder(copy)
  if (!isRunnable) return
  await docker(['rm', '-f', '-v', REGISTRY])
  await docker(['network', 'rm', NAME])
})

describe.skipIf(!isRunnable).each([
  { base: 'node:24-slim', image: SIDECAR_IMAGE, node: '/usr/local/bin/node', hasShell: true },
  { base: 'a base without a shell', image: SHELL_LESS_IMAGE, node: '/nodejs/bin/node', hasShell: false },
])('the image on $base', { timeout: 120_000 }, ({ image, node, hasShell }) => {
  const container = `${NAME}-${hasShell ? 'slim' : 'shell-less'}`
  const volumes = [`${container}-state`, `${container}-users`]
  const execute = async (...args: string[]) => (await docker(['exec', ...args])).stdout
  const inside = (...args: string[]) => execute(container, ...args)
  const evaluate = (script: string) => inside(node, '-e', script)

  beforeAll(async () => {
    const mounts = ['-v', `${container}-state:/state`, '-v', `${container}-users:/users`]
    const upstream = ['-e', `SIDECAR_UPSTREAM=http://${REGISTRY}:5000`]
    const options = [
      ...FEW_RIGHTS,
      '--user',
      `${UID}:${UID}`,
      ...mounts,
      ...upstream,
      '--health-interval',
      '1s',
    ]
    await docker(['run', '-d', '--name', container, '--network', NAME, ...options, image])
  })
  afterAll(async () => {
    await docker(['rm', '-f', '-v', container])
    await docker(['volume', 'rm', ...volumes])
  })

  it('becomes healthy when it has a user, and serves the registry on port 443', async () => {
    const added = JSON.parse(
      await inside('registry-sidecar', 'user', 'add', 'alice', '--generate', '--json'),
    ) as {
      password: string
    }
    const login = `alice:${added.password}`
    registerLogin(login)
    const inspect = async (format: string) =>
      (await docker(['inspect', '-f', format, container])).stdout.trim()
    const isHealthy = async () => (await inspect('{{.State.Health.Status}}')) === 'healthy'
    await until(isHealthy, { deadlineMs: 60_000, what: 'health' })
    const host = await inspect(`{{(index .NetworkSettings.Networks "${NAME}").IPAddress}}`)
    const ca = await inside('registry-sidecar', 'trust', '--pem')
    expect(await statusOf({ host, ca })).toBe(401)
    expect(await statusOf({ host, ca, auth: login })).toBe(200)
  })

  it('has no capability, gets no new privileges, and writes only to its volumes', async () => {
    const status = await evaluate("process.stdout.write(fs.readFileSync('/proc/1/status', 'utf8'))")
    expect(status).toMatch(/^Uid:\t4321\t4321\t/m)
    expect(status).toMatch(/^CapBnd:\t0{16}$/m)
    expect(status).toMatch(/^NoNewPrivs:\t1$/m)
    for (const folder of ['/', '/app', '/tmp']) {
      const script = `try { fs.writeFileSync('${folder}/x', '') } catch (error) { console.log(error.code) }`
      // Root owns these folders, so only the read-only file system can refuse it.
      expect(await execute('-u', '0', container, node, '-e', script)).toBe('EROFS\n')
    }
  })

  it(hasShell ? 'has a shell' : 'has no shell', async () => {
    const exitCode = await inside('sh', '-c', 'true').then(
      () => 0,
      (error: unknown) => (error as { readonly code: number }).code,
    )
    // Without a shell, the code depends on the version of the engine.
    expect(hasShell ? [0] : [126, 127]).toContain(exitCode)
  })

  it('lists its packages in its SBOM', async () => {
    const sbom = JSON.parse(
      await evaluate("process.stdout.write(fs.readFileSync('/app/sbom.cdx.json'))"),
    ) as Sbom
    expect(sbom).toMatchObject({
      bomFormat: 'CycloneDX',
      metadata: { component: { name: 'registry-sidecar' } },
    })
    const listed = sbom.components.map(({ name, version }) => `${name}@${version}`)
    const installed = JSON.parse(await evaluate(INSTALLED)) as string[]
    expect(listed.toSorted()).toEqual(installed.toSorted())
    const wanted = productionPackages().map(({ name, version }) => `${name}@${version}`)
    expect(wanted).toEqual(expect.arrayContaining(listed))
    expect(sbom.components.filter(({ hashes }) => hashes.length === 0)).toEqual([])
  })

  it('says how to use a high port where low ports need a privilege', async () => {
    const low = ['--sysctl', 'net.ipv4.ip_unprivileged_port_start=1024']
    const run = ['run', '--rm', ...FEW_RIGHTS, '--user', `${UID}`, '--tmpfs', '/state:mode=1777', ...low]
    await expect(docker([...run, image])).rejects.toThrow(
      /cannot listen on :443: ports below 1024 need a privilege; choose a higher port \(SIDECAR_LISTEN\)/,
    )
    const high = `${container}-high`
    await docker([...run, '-d', '--name', high, '-e', 'SIDECAR_LISTEN=:8443', image])
    const isReady = async () => (await docker(['logs', high])).stdout.includes('"event":"ready"')
    await until(isReady, { deadlineMs: 30_000, what: 'the ready line' })
    await docker(['rm', '-f', high])
  })
})

describe.skipIf(!isRunnable)('the labels of the image', { timeout: 120_000 }, () => {
  it('come from the build arguments', async () => {
    const values = {
      VERSION: '1.2.3',
      REVISION: 'abc',
      CREATED: '2026-01-02T03:04:05Z',
      SOURCE: 'https://git.example/x',
    }
    const args = Object.entries(values).flatMap(([name, value]) => ['--build-arg', `${name}=${value}`])
    await buildImage(copy, [...args, '-t', LABELED])
    const { stdout } = await docker(['image', 'inspect', '-f', '{{json .Config.Labels}}', LABELED])
    await docker(['image', 'rm', LABELED])
    expect(JSON.parse(stdout)).toMatchObject({
      'org.opencontainers.image.title': 'registry-sidecar',
      'org.opencontainers.image.licenses': 'MIT',
      'org.opencontainers.image.version': values.VERSION,
      'org.opencontainers.image.revision': values.REVISION,
      'org.opencontainers.image.created': values.CREATED,
      'org.opencontainers.image.source': values.SOURCE,
      'org.opencontainers.image.base.name': 'node:24-slim',
    })
  })
})

interface Sbom {
  readonly components: readonly { name: string; version: string; hashes: readonly unknown[] }[]
}

/** Prints `name@version` of each package that npm installed. */
const INSTALLED = `
  const { packages } = JSON.parse(fs.readFileSync('/app/node_modules/.package-lock.json', 'utf8'))
  const names = Object.keys(packages).map((place) => JSON.parse(fs.readFileSync('/app/' + place + '/package.json', 'utf8')))
  process.stdout.write(JSON.stringify(names.map(({ name, version }) => name + '@' + version)))
`

function statusOf(options: https.RequestOptions): Promise<number> {
  return new Promise((resolve, reject) => {
    const request = https.get({ path: '/v2/', agent: false, ...options }, (response) => {
      response.resume()
      resolve(response.statusCode ?? 0)
    })
    request.once('error', reject)
  })
}
