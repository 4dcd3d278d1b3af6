import { createHash, randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { isInstalled, startBalancer, type Balancer } from '../fixtures/load-balancer.ts'
import { createAuthority } from '../fixtures/own-certificate.ts'
import { registryProgram, startRegistry, type Registry } from '../fixtures/registry.ts'
import { scrape, sumOf } from '../fixtures/scrape.ts'
import {
  ALICE,
  sidecarForTest,
  type TestRequest,
  type TestResponse,
  type TestSidecar,
} from '../fixtures/sidecar.ts'
import { tempFolder } from '../fixtures/temp-folder.ts'
import { until } from '../fixtures/until.ts'

const SOON = { deadlineMs: 10_000 }
const [CLIENT, ATTACKER] = ['127.0.0.3', '127.0.0.4']
// Far above the size from which bodies are spliced.
const SPLICED_BYTES = 16 * 1024 * 1024

const authority = createAuthority()
let registry: Registry
beforeAll(async () => {
  if (registryProgram !== undefined) registry = await startRegistry()
})
afterAll(() => (registryProgram === undefined ? undefined : registry.stop()))

interface Scene {
  readonly sidecar: TestSidecar
  readonly auditFile: string
  /** Sends a request of alice through the load balancer. */
  readonly ask: (options: TestRequest) => Promise<TestResponse>
}

async function scene(balancer: Balancer): Promise<Scene> {
  const auditFile = path.join(tempFolder(), 'audit')
  const sidecar = await sidecarForTest({
    upstreamPort: registry.port,
    env: {
      SIDECAR_HOSTS: 'sidecar.internal',
      SIDECAR_TRUSTED_PROXIES: '127.0.0.1',
      SIDECAR_PROXY_PROTOCOL: balancer === 'nginx for HTTP' ? 'off' : 'on',
      SIDECAR_THROTTLE: '2/1m',
      SIDECAR_AUDIT: auditFile,
    },
  })
  const port = await startBalancer(balancer, { sidecar, certificate: authority.issue() })
  const ca = balancer === 'nginx for HTTP' ? authority.rootPem : sidecar.root.pem
  const ask = (options: TestRequest) =>
    sidecar.request({ port, ca, as: ALICE, localAddress: CLIENT, servername: 'localhost', ...options })
  // HAProxy refuses connections until the first health check has passed.
  await until(async () => (await ask({ path: '/v2/' }).catch(() => undefined))?.status === 200, {
    ...SOON,
    what: 'an answer through the load balancer',
  })
  return { sidecar, auditFile, ask }
}

const digestOf = (bytes: Buffer) => `sha256:${createHash('sha256').update(bytes).digest('hex')}`

function pathOf(location: string | undefined): string {
  const { pathname, search, host } = new URL(location ?? '')
  expect(host).toMatch(/^127\.0\.0\.1:\d+$/)
  return `${pathname}${search}`
}

/** Pushes as docker does. */
async function push({ ask }: Scene, blob: Buffer): Promise<string> {
  const begun = await ask({ method: 'POST', path: '/v2/team/app/blobs/uploads/' })
  expect(begun.status).toBe(202)
  const headers = { 'Content-Type': 'application/octet-stream', 'Transfer-Encoding': 'chunked' }
  const sent = await ask({ method: 'PATCH', path: pathOf(begun.headers.location), body: blob, headers })
  expect(sent.status).toBe(202)
  const last = `${pathOf(sent.headers.location)}&digest=${encodeURIComponent(digestOf(blob))}`
  expect((await ask({ method: 'PUT', path: last })).status).toBe(201)
  return digestOf(blob)
}

async function pushManifest(at: Scene, layer: string): Promise<void> {
  const config = await push(at, Buffer.from('{}'))
  const mediaType = 'application/vnd.docker.distribution.manifest.v2+json'
  const layerType = 'application/vnd.docker.image.rootfs.diff.tar.gzip'
  const manifest = {
    schemaVersion: 2,
    mediaType,
    config: { mediaType: 'application/vnd.docker.container.image.v1+json', size: 2, digest: config },
    layers: [{ mediaType: layerType, size: SPLICED_BYTES, digest: layer }],
  }
  const put = { method: 'PUT', path: '/v2/team/app/manifests/1', body: JSON.stringify(manifest) }
  expect((await at.ask({ ...put, headers: { 'Content-Type': mediaType } })).status).toBe(201)
}

const BALANCERS = ['HAProxy', 'nginx for TCP', 'nginx for HTTP'] as const

for (const balancer of BALANCERS) {
  describe.skipIf(registryProgram === undefined || !isInstalled(balancer))(`behind ${balancer}`, () => {
    it('a large push and pull arrive whole, and log and audit stream have the address of the client', async () => {
      const at = await scene(balancer)
      const digest = await push(at, randomBytes(SPLICED_BYTES))
      const pulled = await at.ask({ path: `/v2/team/app/blobs/${digest}` })
      expect([pulled.status, pulled.body.length, digestOf(pulled.body)]).toEqual([200, SPLICED_BYTES, digest])

      const logged = at.sidecar.lines.filter(({ event }) => event === 'request')
      expect(new Set(logged.map(({ address }) => address))).toEqual(new Set([CLIENT]))

      await pushManifest(at, digest)
      const audited = () => readFileSync(at.auditFile, 'utf8')
      await until(() => audited().includes('"event":"push"'), { ...SOON, what: 'an audit line' })
      expect(audited()).toContain(`"address":"${CLIENT}"`)
      expect(audited()).not.toContain('"address":"127.0.0.1"')
    })

    it('one client that guesses passwords is throttled alone', async () => {
      const { ask, sidecar } = await scene(balancer)
      const forged = { 'X-Forwarded-For': CLIENT }
      const guess = { as: 'alice:wrong', path: '/v2/', localAddress: ATTACKER, headers: forged }
      for (const status of [401, 401, 429]) expect((await ask(guess)).status).toBe(status)
      expect((await ask({ path: '/v2/', localAddress: ATTACKER, headers: forged })).status).toBe(429)
      expect((await ask({ path: '/v2/' })).status).toBe(200)
      const refused = sidecar.lines.filter(({ event }) => event === 'login-refused')
      expect(new Set(refused.map(({ address }) => address))).toEqual(new Set([ATTACKER]))
    })

    it('health checks and ends of connections are no faults', async () => {
      const { ask, sidecar } = await scene(balancer)
      for (let i = 0; i < 5; i += 1) expect((await ask({ path: '/v2/' })).status).toBe(200)
      const metrics = await scrape(sidecar)
      expect(sumOf(metrics, 'registry_sidecar_limits_reached_total')).toBe(0)
      const levels = sidecar.lines.map(({ level }) => Number(level))
      expect(levels.filter((level) => level >= 40)).toEqual([])
    })
  })
}
