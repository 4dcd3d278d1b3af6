import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { createClientAuthority } from '../../fixtures/client-authority.ts'
import { askAdmin } from '../../fixtures/scrape.ts'
import { startLenientUpstream, type LenientUpstream } from '../../fixtures/lenient-upstream.ts'
import { answering, upstreamForTest } from '../../fixtures/programmable-upstream.ts'
import {
  ALICE,
  sidecarForTest,
  startSidecar,
  type TestRequest,
  type TestSidecar,
} from '../../fixtures/sidecar.ts'
import { tempFolder } from '../../fixtures/temp-folder.ts'
import { until } from '../../fixtures/until.ts'

const UI = 'https://ui.example'
const OTHER_UI = 'http://localhost:8080'
const LISTED = { SIDECAR_CORS_ORIGINS: `${UI}, ${OTHER_UI}` }

const preflight = (origin: string | string[], headers: Record<string, string> = {}): TestRequest => ({
  method: 'OPTIONS',
  path: '/v2/team/app/manifests/1',
  headers: { Origin: origin, 'Access-Control-Request-Method': 'DELETE', ...headers },
})

/** The names of an answer's headers that share it with a page. */
const sharing = (headers: object): readonly string[] =>
  Object.keys(headers).filter((name) => name.startsWith('access-control-'))

describe('without the setting', () => {
  it('no answer mentions origins, and a preflight is asked for a login', async () => {
    const sidecar = await sidecarForTest()
    const answers = [
      await sidecar.request(preflight(UI)),
      await sidecar.request({ as: ALICE, path: '/v2/', headers: { Origin: UI } }),
      await sidecar.request({
        as: ALICE,
        method: 'DELETE',
        path: '/v2/a/manifests/b',
        headers: { Origin: UI },
      }),
      await sidecar.request({ path: '/-/', headers: { Origin: UI } }),
    ]
    expect(answers.map(({ status }) => status)).toEqual([401, 502, 502, 200])
    for (const { headers } of answers) {
      expect(sharing(headers)).toEqual([])
      expect(headers).not.toHaveProperty('vary')
    }
  })
})

describe('with listed origins', () => {
  let upstream: LenientUpstream
  let sidecar: TestSidecar
  beforeAll(async () => {
    upstream = await startLenientUpstream()
    sidecar = await startSidecar({ upstreamPort: upstream.port, env: { ...LISTED, SIDECAR_THROTTLE: 'off' } })
  })
  beforeEach(() => {
    upstream.take()
  })
  afterAll(async () => {
    await sidecar.stop()
    upstream.close()
  })

  it.each([UI, OTHER_UI])(
    'a preflight of %s is answered without a login and reaches no registry',
    async (origin) => {
      const { status, headers, body } = await sidecar.request(preflight(origin))
      expect([status, body.length]).toEqual([204, 0])
      expect(headers).toMatchObject({
        'access-control-allow-origin': origin,
        'access-control-allow-credentials': 'true',
        'access-control-max-age': '7200',
        vary: 'Origin',
      })
      const methods = headers['access-control-allow-methods']?.split(', ')
      expect(methods).toEqual(expect.arrayContaining(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE']))
      const allowed = headers['access-control-allow-headers']?.split(', ')
      const needed = ['authorization', 'accept', 'cache-control', 'content-type', 'content-range', 'range']
      expect(allowed).toEqual(
        expect.arrayContaining([...needed, 'if-none-match', 'if-match', 'docker-content-digest']),
      )
      expect(headers).not.toHaveProperty('access-control-allow-private-network')
      expect(upstream.take()).toEqual([])
    },
  )

  it.each(['/v2/', '/v2', '/token'])('a preflight for %s is answered', async (path) => {
    expect(await sidecar.request({ ...preflight(UI), path })).toHaveProperty('status', 204)
  })

  it('a preflight from a public network is allowed on request', async () => {
    const { headers } = await sidecar.request(
      preflight(UI, { 'Access-Control-Request-Private-Network': 'true' }),
    )
    expect(headers['access-control-allow-private-network']).toBe('true')
  })

  it.each<[what: string, origin: string | string[]]>([
    ['another origin', 'https://evil.example'],
    ['an origin that begins alike', 'https://ui.example.evil'],
    ['an origin that ends alike', 'https://evil-ui.example'],
    ['an origin below', 'https://a.ui.example'],
    ['another scheme', 'http://ui.example'],
    ['a scheme in capitals', 'HTTPS://ui.example'],
    ['a host in capitals', 'https://UI.example'],
    ['another port', 'https://ui.example:8443'],
    ['the default port', 'https://ui.example:443'],
    ['a trailing slash', 'https://ui.example/'],
    ['a trailing dot', 'https://ui.example.'],
    ['a user', 'https://ui.example@evil.example'],
    ['null', 'null'],
    ['a wildcard', '*'],
    ['nothing', ''],
    ['a list', `${UI} https://evil.example`],
    ['a list with commas', `https://evil.example, ${UI}`],
    ['the setting itself', `${UI}, ${OTHER_UI}`],
    ['two headers', [UI, 'https://evil.example']],
    ['two equal headers', [UI, UI]],
    ['a name of every object', '__proto__'],
  ])('a preflight of %s is asked for a login and shared with nobody', async (_what, origin) => {
    const { status, headers } = await sidecar.request(preflight(origin))
    expect(status).toBe(401)
    expect(sharing(headers)).toEqual([])
    expect(headers.vary).toBe('Origin')
    expect(upstream.take()).toEqual([])
  })

  it.each<[what: string, options: TestRequest, status: number]>([
    ['a forwarded answer', { as: ALICE, path: '/v2/' }, 200],
    ['a forwarded HEAD', { as: ALICE, path: '/v2/', method: 'HEAD' }, 200],
    ['a write', { as: ALICE, path: '/v2/a/blobs/uploads/', method: 'POST' }, 200],
    ['OPTIONS that is no preflight', { as: ALICE, path: '/v2/', method: 'OPTIONS' }, 200],
    ['a challenge', { path: '/v2/' }, 401],
    ['a wrong password', { as: 'alice:wrong', path: '/v2/' }, 401],
    ['an unknown method', { path: '/v2/', method: 'PROPFIND' }, 405],
    ['an invalid target', { path: '/v2/a%2fb' }, 400],
  ])('the page may read %s', async (_what, options, status) => {
    const answer = await sidecar.request({ ...options, headers: { Origin: UI } })
    expect(answer.status).toBe(status)
    expect(answer.headers).toMatchObject({
      'access-control-allow-origin': UI,
      'access-control-allow-credentials': 'true',
      vary: 'Origin',
    })
    const exposed = answer.headers['access-control-expose-headers']?.split(', ')
    for (const name of ['Docker-Content-Digest', 'Link', 'Location', 'WWW-Authenticate', 'Retry-After'])
      expect(exposed).toContain(name)
    for (const name of ['access-control-allow-origin', 'vary'])
      expect(answer.rawHeaders.filter((text) => text.toLowerCase() === name)).toHaveLength(1)
  })

  it.each([
    '/-/status',
    '/-/status.json',
    '/-/status.json?/v2/',
    '/-/status/events',
    '/-/',
    '/-/ca.crt',
    '/',
    '/v2x',
    '/token/',
  ])('a page may neither ask for nor read %s', async (path) => {
    const answers = [
      await sidecar.request({ ...preflight(UI), path }),
      await sidecar.request({ as: ALICE, path, method: 'HEAD', headers: { Origin: UI } }),
    ]
    expect(answers[0]?.status).toBe(404)
    for (const { headers } of answers) expect([headers.vary, sharing(headers)]).toEqual(['Origin', []])
  })

  it.each(['/v2/', '/-/', '/nothing'])(
    'caches learn that %s varies, also without an Origin',
    async (path) => {
      const { headers } = await sidecar.request({ path })
      expect([headers.vary, sharing(headers)]).toEqual(['Origin', []])
    },
  )

  it('the redirect to the page varies by both headers', async () => {
    const { status, headers } = await sidecar.request({
      path: '/',
      headers: { Accept: 'text/html', Origin: UI },
    })
    expect([status, headers.vary]).toEqual([302, 'Origin, Accept'])
  })

  it.each(['POST', 'PUT', 'PATCH', 'DELETE'])(
    'a page of another origin cannot %s with a stored login, even if its browser asked before',
    async (method) => {
      const options = { as: ALICE, method, path: '/v2/a/blobs/uploads/?mount=sha256:a&from=secret' }
      for (const origin of ['https://evil.example', 'null', `http://127.0.0.1:${sidecar.port}`]) {
        const { status, headers, body } = await sidecar.request({ ...options, headers: { Origin: origin } })
        expect([status, sharing(headers)]).toEqual([403, []])
        expect(JSON.parse(body.toString())).toMatchObject({ errors: [{ code: 'DENIED' }] })
      }
      expect(upstream.take()).toEqual([])
    },
  )

  it('the own origin and clients without an Origin may write', async () => {
    const options = { as: ALICE, method: 'POST', path: '/v2/a/blobs/uploads/' }
    const headers = { Host: 'registry:8443', Origin: 'https://registry:8443' }
    expect(await sidecar.request({ ...options, servername: 'localhost', headers })).toHaveProperty(
      'status',
      200,
    )
    expect(await sidecar.request(options)).toHaveProperty('status', 200)
  })

  it('a page of another origin may send GET as before, but not read the answer', async () => {
    const { status, headers } = await sidecar.request({
      as: ALICE,
      path: '/v2/',
      headers: { Origin: 'null' },
    })
    expect([status, sharing(headers)]).toEqual([200, []])
  })

  it.each(['\r', '\n', '\r\n', '\0'])('a line end in an Origin adds no header: %j', async (end) => {
    const socket = await sidecar.connect()
    let text = ''
    socket.on('data', (chunk: Buffer) => (text += chunk.toString('latin1')))
    const origin = `Origin: ${UI}${end}X-Evil: 1`
    socket.write(`GET /-/ca.crt HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n${origin}\r\n\r\n`)
    await until(() => socket.closed, { deadlineMs: 10_000, what: 'the end of the answer' })
    expect(text).toMatch(/^HTTP\/1\.1 (?:200|400) /)
    expect(text).not.toMatch(/evil/i)
  })

  it('the admin address shares nothing', async () => {
    expect(sharing((await askAdmin(sidecar, '/metrics', { Origin: UI })).headers)).toEqual([])
  })
})

describe('an answer of the registry', () => {
  const MIB = 1024 * 1024
  const REGISTRY_HEADERS = [
    'Access-Control-Allow-Origin: *',
    'Access-Control-Allow-Credentials: false',
    'Access-Control-Expose-Headers: X-Own',
    'Access-Control-Allow-Private-Network: true',
    'Vary: Accept-Encoding',
    'Vary: Accept',
    'X-Own: 1',
  ].join('\r\n')

  it.each([
    ['small', 2, 'GET', 'Origin, Accept-Encoding, Accept'],
    ['large and spliced', 2 * MIB, 'GET', 'Origin, Accept-Encoding, Accept'],
    ['to HEAD', 2 * MIB, 'HEAD', 'Origin, Accept-Encoding, Accept'],
  ])('that is %s keeps its Vary and loses its own sharing headers', async (_what, length, method, vary) => {
    const head = `HTTP/1.1 200 OK\r\n${REGISTRY_HEADERS}\r\nContent-Length: ${length}\r\n\r\n`
    const upstream = await upstreamForTest(answering(head + (method === 'HEAD' ? '' : 'x'.repeat(length))))
    const sidecar = await sidecarForTest({ upstreamPort: upstream.port, env: LISTED })
    const options = { as: ALICE, path: '/v2/a/blobs/b', method }
    const listed = await sidecar.request({ ...options, headers: { Origin: UI } })
    expect(listed.body).toHaveLength(method === 'HEAD' ? 0 : length)
    expect(listed.headers).toMatchObject({ 'access-control-allow-origin': UI, vary, 'x-own': '1' })
    expect(listed.headers['access-control-allow-credentials']).toBe('true')
    expect(listed.headers['access-control-expose-headers']).not.toContain('X-Own')
    expect(listed.headers).not.toHaveProperty('access-control-allow-private-network')
    const other = await sidecar.request({ ...options, headers: { Origin: 'https://evil.example' } })
    expect([sharing(other.headers), other.headers.vary]).toEqual([[], vary])
  })

  it('that fails or is refused can be read too', async () => {
    const sidecar = await sidecarForTest({ env: { ...LISTED, SIDECAR_THROTTLE: '1/1m' } })
    const statusOf = async (as: string) => {
      const { status, headers } = await sidecar.request({ as, path: '/v2/', headers: { Origin: UI } })
      expect(headers['access-control-allow-origin']).toBe(UI)
      return status
    }
    expect(await statusOf(ALICE)).toBe(502)
    expect(await statusOf('alice:wrong')).toBe(401)
    expect(await statusOf('alice:wrong again')).toBe(429)
  })

  it('that needs users can be read too', async () => {
    const sidecar = await sidecarForTest({ users: null, env: LISTED })
    const { status, headers } = await sidecar.request({ path: '/v2/', headers: { Origin: UI } })
    expect([status, headers['access-control-allow-origin']]).toEqual([503, UI])
  })
})

describe('while the sidecar stops', () => {
  it('only the preflights of running uploads are answered with success', async () => {
    const upstream = await upstreamForTest(() => undefined)
    const sidecar = await sidecarForTest({ upstreamPort: upstream.port, env: LISTED })
    const [running, other] = await Promise.all([sidecar.connect(), sidecar.connect()])
    const pull = sidecar.request({ as: ALICE, path: '/v2/a/blobs/b' }).catch(() => undefined)
    await until(() => upstream.open > 0, { deadlineMs: 10_000, what: 'the transfer' })
    const drained = sidecar.drain(2_000)
    const ask = (path: string) =>
      `OPTIONS ${path} HTTP/1.1\r\nHost: localhost\r\nOrigin: ${UI}\r\nAccess-Control-Request-Method: PUT\r\n\r\n`
    running.write(ask('/v2/a/blobs/uploads/1'))
    other.write(ask('/v2/a/manifests/1'))
    const texts = (await Promise.all([running, other].map((socket) => once(socket, 'data')))).map(String)
    expect(texts[0]).toMatch(/^HTTP\/1\.1 204 /)
    expect(texts[1]).toMatch(/^HTTP\/1\.1 503 /)
    for (const text of texts) expect(text).toContain(`\r\nAccess-Control-Allow-Origin: ${UI}\r\n`)
    await Promise.all([drained, pull])
  })
})

describe('with client certificates', () => {
  it('a preflight needs none, because browsers show none with it', async () => {
    const file = path.join(tempFolder(), 'ca.pem')
    writeFileSync(file, createClientAuthority().cert)
    const sidecar = await sidecarForTest({ env: { ...LISTED, SIDECAR_TLS_CLIENT_CA: file } })
    expect(await sidecar.request(preflight(UI))).toHaveProperty('status', 204)
    const { status, headers } = await sidecar.request({ as: ALICE, path: '/v2/', headers: { Origin: UI } })
    expect([status, headers['access-control-allow-origin']]).toEqual([403, UI])
  })
})
