import { createHash } from 'node:crypto'
import type { Browser, BrowserContext, Page } from 'playwright-core'
import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest'
import { describeInBrowser, startBrowser } from '../fixtures/browser.ts'
import { createAuthority } from '../fixtures/own-certificate.ts'
import { servePage, type PageServer } from '../fixtures/page-server.ts'
import { startRegistry, type Registry } from '../fixtures/registry.ts'
import { ALICE, startSidecar, type TestSidecar } from '../fixtures/sidecar.ts'
import { until } from '../fixtures/until.ts'

const [USERNAME = '', PASSWORD = ''] = ALICE.split(':')
const LOGIN = { Authorization: `Basic ${Buffer.from(ALICE).toString('base64')}` }
const MANIFEST_TYPE = 'application/vnd.oci.image.manifest.v1+json'

interface PageRequest extends Omit<RequestInit, 'headers'> {
  readonly headers?: Readonly<Record<string, string>>
}

/** What a page's script gets to know of an answer. */
interface Seen {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly text: string
}

describeInBrowser('a page in Chromium', () => {
  let registry: Registry
  let sidecar: TestSidecar
  let listed: PageServer
  let other: PageServer
  let browser: Browser

  beforeAll(async () => {
    const authority = createAuthority()
    registry = await startRegistry()
    listed = await servePage(authority.issue())
    other = await servePage(authority.issue())
    const origins = [`https://localhost:${listed.port}`, `https://127.0.0.1:${listed.port}`]
    const env = { SIDECAR_CORS_ORIGINS: origins.join(',') }
    sidecar = await startSidecar({ upstreamPort: registry.port, env })
    browser = await startBrowser([authority.rootPem, sidecar.root.pem])
  })
  afterAll(async () => {
    await browser.close()
    await sidecar.stop()
    await registry.stop()
    listed.close()
    other.close()
  })

  async function contextOf(options: Parameters<Browser['newContext']>[0] = {}): Promise<BrowserContext> {
    const context = await browser.newContext(options)
    onTestFinished(() => context.close())
    return context
  }

  /** Opens a page, by default with an empty store of logins. */
  async function open(address: string, context?: BrowserContext): Promise<Page> {
    const page = await (context ?? (await contextOf())).newPage()
    await page.goto(address)
    return page
  }

  /** Requests a path of the registry from the page's script. Resolves to undefined if the browser refuses. */
  function request(page: Page, path: string, init: PageRequest = {}): Promise<Seen | undefined> {
    return page.evaluate(
      async ([url, options]) => {
        try {
          const response = await fetch(url, options)
          const headers = Object.fromEntries([...response.headers.entries()])
          return { status: response.status, headers, text: await response.text() }
        } catch {
          return undefined
        }
      },
      [`https://localhost:${sidecar.port}${path}`, init] as const,
    )
  }

  /** Pushes an image past the sidecar. Resolves to its digest. */
  async function pushImage(repository: string): Promise<string> {
    const base = `http://127.0.0.1:${registry.port}/v2/${repository}`
    const digestOf = (text: string): string => `sha256:${createHash('sha256').update(text).digest('hex')}`
    const begun = await fetch(`${base}/blobs/uploads/`, { method: 'POST' })
    const upload = `${begun.headers.get('location') ?? ''}&digest=${digestOf('{}')}`
    const type = { 'Content-Type': 'application/octet-stream' }
    expect(await fetch(upload, { method: 'PUT', body: '{}', headers: type })).toHaveProperty('status', 201)
    const config = { mediaType: 'application/vnd.oci.image.config.v1+json', digest: digestOf('{}'), size: 2 }
    const manifest = JSON.stringify({
      schemaVersion: 2,
      mediaType: MANIFEST_TYPE,
      config,
      layers: [],
      annotations: { repository },
    })
    const put = { method: 'PUT', body: manifest, headers: { 'Content-Type': MANIFEST_TYPE } }
    expect(await fetch(`${base}/manifests/1`, put)).toHaveProperty('status', 201)
    return digestOf(manifest)
  }

  async function isThere(repository: string): Promise<boolean> {
    const headers = { Accept: MANIFEST_TYPE }
    return (await fetch(`http://127.0.0.1:${registry.port}/v2/${repository}/manifests/1`, { headers })).ok
  }

  /** Lists the catalog, reads the manifest with its digest, and deletes it. */
  async function expectFullUse(page: Page, repository: string, init: PageRequest): Promise<void> {
    const digest = await pushImage(repository)
    const catalog = await request(page, '/v2/_catalog', init)
    expect(catalog?.status).toBe(200)
    expect(JSON.parse(catalog?.text ?? '')).toMatchObject({
      repositories: expect.arrayContaining([repository]) as unknown,
    })
    const accepting = { ...init, headers: { ...init.headers, Accept: MANIFEST_TYPE } }
    const manifest = await request(page, `/v2/${repository}/manifests/1`, accepting)
    expect(manifest?.headers).toMatchObject({ 'docker-content-digest': digest, etag: `"${digest}"` })
    const deleted = await request(page, `/v2/${repository}/manifests/${digest}`, {
      ...init,
      method: 'DELETE',
    })
    expect(deleted?.status).toBe(202)
    expect(await isThere(repository)).toBe(false)
  }

  it.each(['localhost', '127.0.0.1'])(
    'of a listed origin lists, reads and deletes with the login that its script sends, from %s',
    async (host) => {
      const page = await open(`https://${host}:${listed.port}/`)
      await expectFullUse(page, `script/${host}`, { headers: LOGIN })
    },
  )

  it('of a listed origin lists, reads and deletes with the login that the browser asks for', async () => {
    const context = await contextOf({ httpCredentials: { username: USERNAME, password: PASSWORD } })
    const page = await open(`https://localhost:${listed.port}/`, context)
    await expectFullUse(page, 'browser/app', { credentials: 'include' })
  })

  it('opens no page of a sidecar whose root it does not trust', async () => {
    const stranger = await startBrowser([])
    onTestFinished(() => stranger.close())
    const page = await stranger.newPage()
    await expect(page.goto(`https://localhost:${sidecar.port}/-/`)).rejects.toThrow(
      'ERR_CERT_AUTHORITY_INVALID',
    )
  })

  // As the documentation says: Chromium stores logins per site, and asks for none in requests to other sites.
  it('of a listed origin and another site gets the 401 instead of a question of the browser', async () => {
    const context = await contextOf({ httpCredentials: { username: USERNAME, password: PASSWORD } })
    const page = await open(`https://127.0.0.1:${listed.port}/`, context)
    expect(await request(page, '/v2/', { credentials: 'include' })).toHaveProperty('status', 401)
  })

  it('of a listed origin can read refusals', async () => {
    const page = await open(`https://localhost:${listed.port}/`)
    const refused = await request(page, '/v2/')
    expect(refused?.status).toBe(401)
    expect(refused?.headers['www-authenticate']).toBe('Basic realm="Registry"')
    expect(refused?.text).toContain('UNAUTHORIZED')
    const missing = await request(page, '/v2/no/such/manifests/1', { headers: LOGIN })
    expect(missing).toMatchObject({
      status: 404,
      text: expect.stringContaining('MANIFEST_UNKNOWN') as unknown,
    })
  })

  it('of a listed origin cannot read the live status, or anything else of the sidecar', async () => {
    const page = await open(`https://localhost:${listed.port}/`)
    for (const target of ['/-/status.json', '/-/ca.crt', '/nothing'])
      expect(await request(page, target)).toBeUndefined()
    expect(await request(page, '/-/status.json', { headers: LOGIN })).toBeUndefined()
  })

  it('of another origin can do none of it, even with a login that the browser has stored', async () => {
    const digest = await pushImage('other/app')
    const context = await contextOf({ httpCredentials: { username: USERNAME, password: PASSWORD } })
    const own = await open(`https://localhost:${sidecar.port}/v2/`, context)
    expect(await own.textContent('body')).toBe('{}')
    const page = await open(`https://localhost:${other.port}/`, context)
    for (const init of [{ credentials: 'include' }, { headers: LOGIN }, {}] as const) {
      expect(await request(page, '/v2/_catalog', init)).toBeUndefined()
      expect(await request(page, '/v2/other/app/manifests/1', init)).toBeUndefined()
      const deletion = { ...init, method: 'DELETE' }
      expect(await request(page, `/v2/other/app/manifests/${digest}`, deletion)).toBeUndefined()
    }
    expect(await request(page, '/-/ca.crt')).toBeUndefined()
    expect(await isThere('other/app')).toBe(true)
  })

  it('of another origin cannot send a write that browsers send without asking', async () => {
    const context = await contextOf({ httpCredentials: { username: USERNAME, password: PASSWORD } })
    await open(`https://localhost:${sidecar.port}/v2/`, context)
    const page = await open(`https://localhost:${other.port}/`, context)
    const blind = { method: 'POST', mode: 'no-cors', credentials: 'include' } as const
    expect(await request(page, '/v2/other/app/blobs/uploads/', blind)).toHaveProperty('status', 0)
    const line = () => sidecar.lines.find(({ reason }) => reason === 'write from a page of another origin')
    await until(() => line() !== undefined, { deadlineMs: 10_000, what: 'the line of the request' })
    expect(line()).toMatchObject({ method: 'POST', status: 403 })
  })
})
