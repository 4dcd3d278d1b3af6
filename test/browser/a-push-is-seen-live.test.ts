import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { request as httpsRequest, type RequestOptions } from 'node:https'
import type { IncomingMessage } from 'node:http'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { describeInBrowser, startBrowser } from '../fixtures/browser.ts'
import { openPage } from '../fixtures/page-views.ts'
import { startRegistry, type Registry } from '../fixtures/registry.ts'
import { ALICE, startSidecar, type TestSidecar } from '../fixtures/sidecar.ts'

const [username = '', password = ''] = ALICE.split(':')
const MANIFEST_TYPE = 'application/vnd.oci.image.manifest.v1+json'
const REPOSITORY = 'team/app'
const LAYER = randomBytes(8 * 1024 * 1024)
/** An update each second, and the time that a busy machine needs to draw it. */
const SOON = { timeout: 10_000 } as const

const digestOf = (content: Buffer | string): string =>
  `sha256:${createHash('sha256').update(content).digest('hex')}`

describeInBrowser('a page that is open in Chromium', () => {
  let registry: Registry
  let sidecar: TestSidecar
  let browser: Browser
  beforeAll(async () => {
    registry = await startRegistry()
    sidecar = await startSidecar({ upstreamPort: registry.port })
    browser = await startBrowser([sidecar.root.pem])
  })
  afterAll(async () => {
    await browser.close()
    await sidecar.stop()
    await registry.stop()
  })

  async function openLive(address: string): Promise<Page> {
    const { page } = await openPage(browser, address, {
      options: { httpCredentials: { username, password } },
    })
    await page.getByText('Live', { exact: true }).waitFor(SOON)
    return page
  }

  const optionsOf = (options: RequestOptions): RequestOptions => ({
    ...{ port: sidecar.port, host: '127.0.0.1', servername: 'localhost', ca: sidecar.root.pem },
    ...{ auth: ALICE, agent: false },
    ...options,
  })

  /** Resolves to the address that takes the content of a blob. */
  async function beginUpload(content: Buffer): Promise<string> {
    const path = `/v2/${REPOSITORY}/blobs/uploads/`
    const { headers } = await sidecar.request({ path, method: 'POST', as: ALICE })
    const { pathname, searchParams } = new URL(headers.location ?? '', 'https://localhost')
    searchParams.set('digest', digestOf(content))
    return `${pathname}?${searchParams.toString()}`
  }

  /** Sends half of the layer. The returned function sends the rest. */
  async function pushHalf(): Promise<() => Promise<void>> {
    const headers = { 'Content-Length': LAYER.length, 'Content-Type': 'application/octet-stream' }
    const request = httpsRequest(optionsOf({ path: await beginUpload(LAYER), method: 'PUT', headers }))
    const answered = once(request, 'response') as Promise<[IncomingMessage]>
    request.write(LAYER.subarray(0, LAYER.length / 2))
    return async () => {
      request.end(LAYER.subarray(LAYER.length / 2))
      const [response] = await answered
      response.resume()
      expect(response.statusCode).toBe(201)
    }
  }

  async function pushConfigAndManifest(): Promise<void> {
    const config = Buffer.from('{}')
    const put = { method: 'PUT', as: ALICE } as const
    const octets = { 'Content-Type': 'application/octet-stream' }
    await sidecar.request({ ...put, path: await beginUpload(config), body: config, headers: octets })
    const manifest = {
      schemaVersion: 2,
      mediaType: MANIFEST_TYPE,
      config: {
        mediaType: 'application/vnd.oci.image.config.v1+json',
        digest: digestOf(config),
        size: config.length,
      },
      layers: [
        {
          mediaType: 'application/vnd.oci.image.layer.v1.tar',
          digest: digestOf(LAYER),
          size: LAYER.length,
        },
      ],
    }
    const path = `/v2/${REPOSITORY}/manifests/v1`
    const headers = { 'Content-Type': MANIFEST_TYPE }
    const { status } = await sidecar.request({ ...put, path, body: JSON.stringify(manifest), headers })
    expect(status).toBe(201)
  }

  it('shows a push, a pull and a refused login while they happen; without names on the admin address', async () => {
    const users = await openLive(`https://localhost:${sidecar.port}/-/status`)
    const admin = await openLive(`http://127.0.0.1:${sidecar.adminAddress?.port ?? 0}/`)
    const rowOf = (page: Page, section: string, text: string) =>
      page.locator(`#${section} tbody tr`, { hasText: text }).first()
    for (const page of [users, admin]) await page.getByText('Nobody pushes or pulls').waitFor(SOON)

    const pushRest = await pushHalf()
    await rowOf(users, 'transfers', REPOSITORY).getByText('4.0 MiB of 8.0 MiB, 50 %').waitFor(SOON)
    await rowOf(admin, 'transfers', '4.0 MiB of 8.0 MiB, 50 %').waitFor(SOON)
    expect(await users.getByRole('progressbar').getAttribute('value')).toBe('50')

    await pushRest()
    await pushConfigAndManifest()
    await rowOf(users, 'operations', `${REPOSITORY}:v1`).waitFor(SOON)
    expect(await rowOf(users, 'operations', `${REPOSITORY}:v1`).innerText()).toMatch(
      /push.*alice.*8\.0 MiB.*✓ ok/s,
    )
    for (const page of [users, admin]) await page.getByText('Nobody pushes or pulls').waitFor(SOON)

    const manifest = { path: `/v2/${REPOSITORY}/manifests/v1`, headers: { Accept: MANIFEST_TYPE } }
    expect(await sidecar.request({ ...manifest, as: ALICE })).toHaveProperty('status', 200)
    for (const page of [users, admin]) await rowOf(page, 'operations', 'pull').waitFor(SOON)

    expect(await sidecar.request({ path: '/v2/', as: 'alice:wrong' })).toHaveProperty('status', 401)
    for (const page of [users, admin]) await rowOf(page, 'refusals', 'login refused').waitFor(SOON)
    expect(await rowOf(users, 'refusals', 'login refused').innerText()).toMatch(/wrong password.*alice/s)

    const text = await admin.locator('body').innerText()
    expect(text).toMatch(/push.*✓ ok/s)
    expect(text).not.toMatch(/alice|team\/|127\.0\.0\.1/)
  })
})
