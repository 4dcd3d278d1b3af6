import { existsSync, readdirSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { compareReplicas } from '../../../src/cli/check-host/compare-replicas.ts'
import { runHere } from '../../fixtures/command.ts'
import { upstreamForTest } from '../../fixtures/programmable-upstream.ts'
import {
  registryProgram,
  startRegistry,
  type Registry,
  type RegistryOptions,
} from '../../fixtures/registry.ts'
import { rootFolderForTest } from '../../fixtures/root-folder.ts'
import { roundRobinForTest } from '../../fixtures/round-robin.ts'
import { sidecarForTest, startSidecar, type TestSidecar } from '../../fixtures/sidecar.ts'
import { tempFolder } from '../../fixtures/temp-folder.ts'

async function registryForTest(options?: RegistryOptions): Promise<Registry> {
  const registry = await startRegistry(options)
  onTestFinished(() => registry.stop())
  return registry
}

/** The lines of `check` about uploads and replicas. */
async function checkRegistryAt(port: number): Promise<readonly string[]> {
  const env = { SIDECAR_UPSTREAM: `http://127.0.0.1:${port}`, SIDECAR_HOSTS: 'proxy' }
  const { stdout } = await runHere(['check'], { env, cwd: tempFolder() })
  return stdout.split('\n').filter((line) => / (?:location|replicas): /.test(line))
}

/** The uploads that were begun in the registry and not cancelled. */
function openUploads({ data }: Registry): readonly string[] {
  if (!existsSync(data)) return []
  const files = readdirSync(data, { recursive: true, encoding: 'utf8' })
  // The registry leaves a state of the hash behind.
  return files.filter((file) => /_uploads.*\/startedat$/.test(file))
}

const UPLOADS_CONTINUE = expect.stringMatching(/^ok +location: uploads continue at /) as string

describe.skipIf(registryProgram === undefined)('check compares registries behind one address', () => {
  it('and finds different secrets', async () => {
    const one = await registryForTest({ secret: 'one' })
    const other = await registryForTest({ secret: 'other', data: one.data })
    expect(await checkRegistryAt(await roundRobinForTest([one.port, other.port]))).toEqual([
      UPLOADS_CONTINUE,
      'problem replicas: several registries answer, and they have different secrets: pushes fail at random → set the same `http.secret` (REGISTRY_HTTP_SECRET) in each registry',
    ])
    expect(openUploads(one)).toEqual([])
  })

  it('and finds different storage', async () => {
    const [one, other] = [await registryForTest(), await registryForTest()]
    expect(await checkRegistryAt(await roundRobinForTest([one.port, other.port]))).toEqual([
      UPLOADS_CONTINUE,
      expect.stringMatching(
        /^problem replicas: several registries answer, and one does not know .* → give all registries the same storage/,
      ),
    ])
    expect([...openUploads(one), ...openUploads(other)]).toEqual([])
  })

  it('and finds nothing with one secret and one storage', async () => {
    const one = await registryForTest()
    const other = await registryForTest({ data: one.data })
    expect(await checkRegistryAt(await roundRobinForTest([one.port, other.port]))).toEqual([UPLOADS_CONTINUE])
    expect(openUploads(one)).toEqual([])
  })

  it('and says that a read-only registry cannot be checked', async () => {
    const { port } = await registryForTest({ isReadOnly: true })
    expect(await checkRegistryAt(port)).toEqual([
      'note    location: the upload location could not be checked: the registry is read-only',
    ])
  })
})

describe('check, if a registry cannot say how an upload stands,', () => {
  it('says that replicas could not be compared', async () => {
    const upstream = await upstreamForTest((soFar, socket) => {
      const location = 'Location: /v2/x/blobs/uploads/1\r\n'
      const isUpload = soFar.includes('/blobs/uploads/')
      const status = soFar.startsWith('POST') ? '202 Accepted' : isUpload ? '404 Not Found' : '200 OK'
      socket.end(`HTTP/1.1 ${status}\r\n${location}Content-Length: 0\r\n\r\n`)
    })
    expect(await checkRegistryAt(upstream.port)).toEqual([
      UPLOADS_CONTINUE,
      'note    replicas: replicas of the registry could not be compared: continuing an upload answers 404',
    ])
  })
})

/** The findings of `check --host` about replicas. */
async function checkHostAt(host: string): Promise<readonly string[]> {
  const { stdout } = await runHere(['check', '--host', host], { cwd: tempFolder() })
  expect(stdout).toMatch(/^ok +tls: /m)
  return stdout.split('\n').filter((line) => line.includes(' replicas: '))
}

const DIFFERENT_ROOTS = expect.stringMatching(
  /^problem replicas: connections to this name get certificates under different roots: .* → .*SIDECAR_ROOT_DIR/,
) as string

describe('check --host compares sidecars behind one name', () => {
  let one: TestSidecar

  beforeAll(async () => {
    one = await startSidecar()
  })

  afterAll(() => one.stop())

  it('and finds separate roots', async () => {
    const other = await sidecarForTest({ isFirstStart: true })
    const [finding] = await checkHostAt(`127.0.0.1:${await roundRobinForTest([one.port, other.port])}`)
    expect(finding).toEqual(DIFFERENT_ROOTS)
    for (const { root } of [one, other]) expect(finding).toContain(root.fingerprint)
  })

  it('and finds that they share a root', async () => {
    const env = { SIDECAR_ROOT_DIR: await rootFolderForTest() }
    const ports = [(await sidecarForTest({ env })).port, (await sidecarForTest({ env })).port]
    expect(await checkHostAt(`127.0.0.1:${await roundRobinForTest(ports)}`)).toEqual([
      'ok      replicas: 2 replicas answer, with certificates under one root',
    ])
  })

  it('and finds nothing to compare with one sidecar', async () => {
    expect(await checkHostAt(`127.0.0.1:${one.port}`)).toEqual([])
  })

  it('and connects to all addresses of a name', async () => {
    const other = await sidecarForTest({
      isFirstStart: true,
      env: { SIDECAR_LISTEN: `127.0.0.2:${one.port}` },
    })
    const [endpoint, name] = [
      { address: '127.0.0.1', port: one.port },
      { type: 'dns', value: 'localhost' } as const,
    ]
    const [finding] = await compareReplicas({ endpoint, name, timeoutMs: 30_000 }, ['127.0.0.1', '127.0.0.2'])
    expect(finding).toMatchObject({ level: 'problem', part: 'replicas' })
    for (const { root } of [one, other]) expect(finding?.text).toContain(root.fingerprint)
  })
})
