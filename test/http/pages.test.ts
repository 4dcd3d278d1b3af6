import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { shownKeys } from '../../src/http/pages/shown-keys.ts'
import { trustPage } from '../../src/http/pages/trust-page.ts'
import { createAuthority } from '../fixtures/own-certificate.ts'
import { askAdmin } from '../fixtures/scrape.ts'
import {
  sidecarForTest,
  startSidecar,
  type TestRequest,
  type TestResponse,
  type TestSidecar,
} from '../fixtures/sidecar.ts'
import { expectStrictPolicy } from '../fixtures/strict-policy.ts'
import { tempFolder } from '../fixtures/temp-folder.ts'

const BROWSER = { accept: 'text/html,application/xhtml+xml,*/*;q=0.8' }

let sidecar: TestSidecar

beforeAll(async () => {
  sidecar = await startSidecar({ env: { SIDECAR_HOSTS: 'proxy, *.lab.example' } })
})
afterAll(() => sidecar.stop())

async function fetchPage(options: TestRequest = {}): Promise<TestResponse & { readonly text: string }> {
  const response = await sidecar.request({ path: '/-/', servername: 'localhost', ...options })
  return { ...response, text: response.body.toString() }
}

describe('the page /-/', () => {
  it('explains without a login how to trust and log in, under the requested name', async () => {
    const response = await fetchPage({ headers: { host: 'proxy:9443' } })
    const { status, text } = response
    expect(status).toBe(200)
    expect(text.replaceAll('<wbr />', '')).toContain(sidecar.root.fingerprint)
    for (const command of [
      'curl -fsSk -o registry-ca.crt https://proxy:9443/-/ca.crt',
      'sudo install -D -m 644 registry-ca.crt /etc/docker/certs.d/proxy:9443/ca.crt',
      '/etc/containers/certs.d/proxy:9443/ca.crt',
      '/etc/containerd/certs.d/proxy:9443/hosts.toml',
      'security add-trusted-cert',
      'certutil -addstore',
      'docker login proxy:9443',
    ])
      expect(text).toContain(command)
    expectStrictPolicy(response, text)
  })

  it.each<[visitor: string, headers: Record<string, string>, first: string]>([
    ['Windows', { 'user-agent': 'Mozilla/5.0 (Windows NT 10.0; Win64; x64) Gecko/20100101' }, 'Windows'],
    ['macOS', { 'user-agent': 'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) Safari/605.1' }, 'macOS'],
    ['Linux', { 'user-agent': 'Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101' }, 'Linux'],
    ['a phone', { 'user-agent': 'Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X)' }, 'Linux'],
    ['a platform that Chromium sends', { 'sec-ch-ua-platform': '"macOS"', 'user-agent': 'X11' }, 'macOS'],
    ['nothing', {}, 'Linux'],
  ])('shows a visitor with %s the commands for their system first', async (_visitor, headers, first) => {
    const { text } = await fetchPage({ headers: { host: 'proxy:9443', ...headers } })
    const [own = '', ...others] = text.split('<summary>')
    expect(own).toContain(`2. Trust the certificate on ${first}</h2>`)
    const command = { Windows: 'certutil', macOS: 'security add', Linux: '/etc/docker/certs.d' }[first] ?? ''
    expect(own).toContain(command)
    expect(others).toHaveLength(3)
    expect(others.join()).not.toContain(command)
  })

  it('answers HEAD', async () => {
    const { status, headers, body } = await fetchPage({ method: 'HEAD' })
    expect([status, headers['content-type'], body.length]).toEqual([200, 'text/html; charset=utf-8', 0])
  })

  it.each(['POST', 'PUT', 'DELETE', 'OPTIONS'])('answers 404 to %s', async (method) => {
    const { status, headers } = await fetchPage({ method })
    expect([status, headers['content-type']]).toEqual([404, 'application/json'])
  })

  it('does not show a forged name', async () => {
    const { text } = await fetchPage({ headers: { host: 'evil.example:666' } })
    expect(text).not.toContain('evil')
    expect(text).toContain('docker login proxy:666')
  })

  it('does not reveal paths, users or versions', async () => {
    const { text, headers } = await fetchPage()
    const { version } = JSON.parse(
      readFileSync(path.join(import.meta.dirname, '../../package.json'), 'utf8'),
    ) as {
      version: string
    }
    for (const secret of [sidecar.folder, 'alice', version, process.version, 'htpasswd'])
      expect(JSON.stringify(headers) + text).not.toContain(secret)
  })
})

describe('the address /', () => {
  it('redirects a browser to the page, without repeating what it sent', async () => {
    const { status, headers, body } = await fetchPage({
      path: '/',
      headers: { ...BROWSER, host: 'evil.example' },
    })
    expect([status, headers.location, headers.vary]).toEqual([302, '/-/', 'Accept'])
    expect(JSON.stringify(headers) + body.toString()).not.toContain('evil')
  })

  it.each<[client: string, options: TestRequest]>([
    ['a registry client', { headers: { accept: '*/*' } }],
    ['a client without an Accept header', {}],
    ['a POST from a browser', { method: 'POST', headers: BROWSER }],
  ])('answers %s like a registry', async (_client, options) => {
    const { status, text } = await fetchPage({ path: '/', ...options })
    expect(status).toBe(404)
    expect(JSON.parse(text)).toMatchObject({ errors: [{ code: 'UNSUPPORTED' }] })
  })
})

describe('the name on a page', () => {
  const names = { isCovered: (name: string) => ['proxy', '2001:db8::1'].includes(name), fallback: 'registry' }
  it.each<[host: string | undefined, expected: readonly string[]]>([
    ['proxy:8443', ['proxy:8443']],
    ['PROXY:8443', ['proxy:8443']],
    ['proxy', ['proxy:443', 'proxy']],
    ['proxy:443', ['proxy:443', 'proxy']],
    ['[2001:DB8::1]:8443', ['[2001:db8::1]:8443']],
    ['other:8443', ['registry:8443']],
    ['proxy:70000', ['proxy:443', 'proxy']],
    ['proxy:0', ['proxy:443', 'proxy']],
    ["proxy';id;'", ['registry:443', 'registry']],
    ['<b>', ['registry:443', 'registry']],
    ['', ['registry:443', 'registry']],
    [undefined, ['registry:443', 'registry']],
  ])('for Host %s is %s', (host, expected) => {
    expect(shownKeys(host, names)).toEqual(expected)
  })

  it('is escaped', async () => {
    const root = { fingerprint: '<AA>', notAfter: new Date() }
    const text = await trustPage({ keys: ['<img src=x>'], root, system: 'linux' })
    expect(text).not.toContain('<img')
    expect(text).toContain('&lt;AA&gt;')
  })
})

describe('the status page', () => {
  it('is / on the admin listener, without names', async () => {
    const { headers, text, status } = await askAdmin(sidecar, '/')
    expect(status).toBe(200)
    for (const part of ['Users', 'Certificate', 'Registry']) expect(text).toContain(part)
    expect(text).toContain('Not ready')
    expect(text).toContain('data-events="/events"')
    expect(text).not.toContain('alice')
    expectStrictPolicy({ headers }, text, "connect-src 'self'; ")
  })
})

describe('an operator certificate with its root appended', () => {
  it('shows that root on the page', async () => {
    const folder = tempFolder()
    const authority = createAuthority()
    const { certPem, keyPem } = authority.issue()
    const [cert, key] = [path.join(folder, 'cert.pem'), path.join(folder, 'key.pem')]
    writeFileSync(cert, `${certPem}${authority.rootPem}`)
    writeFileSync(key, keyPem)
    const own = await sidecarForTest({ env: { SIDECAR_TLS_CERT: cert, SIDECAR_TLS_KEY: key } })
    const text = (await own.request({ path: '/-/' })).body.toString()
    expect(text.replaceAll('<wbr />', '')).toContain(own.root.fingerprint)
  })
})
