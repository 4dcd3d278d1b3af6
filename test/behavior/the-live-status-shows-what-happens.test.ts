import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { StatusSnapshot } from '../../src/observability/status-snapshot.ts'
import { registryProgram, startRegistry, type Registry } from '../fixtures/registry.ts'
import { renewedCert } from '../fixtures/renewed-cert.ts'
import { scrape } from '../fixtures/scrape.ts'
import { ALICE, startSidecar, type TestRequest, type TestSidecar } from '../fixtures/sidecar.ts'
import { watchStatus, type WatchedStatus } from '../fixtures/status-events.ts'
import { makeTempFolder, removeFolder } from '../fixtures/temp-folder.ts'
import { until } from '../fixtures/until.ts'

const MANIFEST = 'application/vnd.oci.image.manifest.v1+json'
const BLOB = Buffer.alloc(3 * 1024 * 1024, 'layer')
const WITHIN = { deadlineMs: 2_000 }

const digestOf = (bytes: string | Buffer) => `sha256:${createHash('sha256').update(bytes).digest('hex')}`

describe.skipIf(registryProgram === undefined)('page, events, metrics and audit show within 2 s', () => {
  let registry: Registry
  let sidecar: TestSidecar
  let auditFile: string
  const folder = makeTempFolder()

  beforeAll(async () => {
    registry = await startRegistry()
    auditFile = path.join(folder, 'audit.log')
    sidecar = await startSidecar({ upstreamPort: registry.port, env: { SIDECAR_AUDIT: auditFile } })
  })
  afterAll(async () => {
    await sidecar.stop()
    await registry.stop()
    removeFolder(folder)
  })

  const ask = (options: TestRequest) => sidecar.request({ as: ALICE, ...options })

  async function snapshot(): Promise<StatusSnapshot> {
    return JSON.parse((await ask({ path: '/-/status.json' })).body.toString()) as StatusSnapshot
  }

  async function push(bytes: Buffer, tag: string): Promise<void> {
    const begun = await ask({ method: 'POST', path: '/v2/team/app/blobs/uploads/' })
    const upload = new URL(begun.headers.location ?? '', 'https://localhost')
    upload.searchParams.set('digest', digestOf(bytes))
    const headers = { 'content-type': 'application/octet-stream' }
    const stored = await ask({
      method: 'PUT',
      path: `${upload.pathname}${upload.search}`,
      headers,
      body: bytes,
    })
    expect(stored.status).toBe(201)
    const blob = { mediaType: 'application/octet-stream', size: bytes.length, digest: digestOf(bytes) }
    const body = JSON.stringify({ schemaVersion: 2, mediaType: MANIFEST, config: blob, layers: [blob] })
    const path = `/v2/team/app/manifests/${tag}`
    expect((await ask({ method: 'PUT', path, headers: { 'content-type': MANIFEST }, body })).status).toBe(201)
  }

  async function seen(stream: WatchedStatus, section: string, text: RegExp): Promise<void> {
    await until(() => text.test(stream.sections[section] ?? ''), {
      ...WITHIN,
      what: `events with ${text.source}`,
    })
    const page = (await ask({ path: '/-/status', headers: { accept: 'text/html' } })).body.toString()
    expect(page).toMatch(text)
  }

  const audited = (text: RegExp) =>
    until(() => text.test(readFileSync(auditFile, 'utf8')), { ...WITHIN, what: `audit line ${text.source}` })

  const measured = (name: string) =>
    until(async () => ((await scrape(sidecar)).get(name) ?? 0) > 0, { ...WITHIN, what: `metric ${name}` })

  it('a push and a pull, with the bytes of their blobs', async () => {
    const stream = await watchStatus(sidecar, ALICE)
    await push(BLOB, 'v1')
    await seen(stream, 'operations', /push[^]*team\/app[^]*v1[^]*3\.0 MiB/)
    await measured('registry_sidecar_operations_total{operation="push",outcome="ok"}')
    await audited(/"event":"push","outcome":"done","repository":"team\/app","tag":"v1"/)

    const agent = { 'user-agent': 'test-client/1.0' }
    await ask({ path: '/v2/team/app/manifests/v1', headers: { accept: MANIFEST, ...agent } })
    await ask({ path: `/v2/team/app/blobs/${digestOf(BLOB)}` })
    await seen(stream, 'operations', /pull[^]*push/)
    await measured('registry_sidecar_operations_total{operation="pull",outcome="ok"}')
    const [pull, pushed] = (await snapshot()).operations
    expect(pull).toMatchObject({ operation: 'pull', outcome: 'ok', names: { client: 'test-client/1.0' } })
    for (const operation of [pull, pushed]) {
      expect(operation?.bytes).toBeGreaterThan(BLOB.length)
      expect(operation?.bytes).toBeLessThan(BLOB.length + 10_000)
    }
  })

  it('a refused login', async () => {
    const stream = await watchStatus(sidecar, ALICE)
    expect((await ask({ path: '/v2/', as: 'alice:wrong' })).status).toBe(401)
    await seen(stream, 'refusals', /wrong password[^]*alice/)
    await measured('registry_sidecar_logins_refused_total{kind="refused"}')
    expect((await snapshot()).refusals[0]).toMatchObject({
      kind: 'login',
      names: { user: 'alice', address: '127.0.0.1' },
    })
  })

  it('a renewal', async () => {
    const stream = await watchStatus(sidecar, ALICE)
    await renewedCert(path.join(sidecar.folder, 'state'))
    await seen(stream, 'changes', /leaf renewed/)
    await measured('registry_sidecar_certificate_renewals_total')
    await audited(/"event":"certificate-renewed","outcome":"done"/)
  })

  it('a running push with its progress and rate, on a connection that is used again', async () => {
    const begun = await ask({ method: 'POST', path: '/v2/team/app/blobs/uploads/' })
    const upload = new URL(begun.headers.location ?? '', 'https://localhost')
    const socket = await sidecar.connect()
    const login = `Authorization: Basic ${Buffer.from(ALICE).toString('base64')}\r\nHost: localhost\r\n`
    socket.resume()
    socket.write(`GET /v2/team/app/blobs/${digestOf(BLOB)} HTTP/1.1\r\n${login}\r\n`)
    await until(() => socket.bytesRead > BLOB.length, { deadlineMs: 10_000, what: 'the pull' })
    const length = 1_000_000
    socket.write(
      `PATCH ${upload.pathname}${upload.search} HTTP/1.1\r\n${login}Content-Type: application/octet-stream\r\nContent-Length: ${length}\r\n\r\n`,
    )
    socket.write(Buffer.alloc(400_000))
    await until(async () => ((await snapshot()).transfers[0]?.bytes ?? 0) >= 400_000, {
      ...WITHIN,
      what: 'progress',
    })
    const { transfers, load } = await snapshot()
    expect(transfers).toMatchObject([
      { operation: 'push', length, names: { user: 'alice', repository: 'team/app', address: '127.0.0.1' } },
    ])
    // With the head of the request.
    expect(transfers[0]?.bytes).toBeLessThan(401_000)
    expect(load.transfers).toBe(1)
    socket.destroy()
    await until(async () => (await snapshot()).load.transfers === 0, { ...WITHIN, what: 'its end' })
  })
})
