// Requests tokens at /token in the ways that clients do, and in ways that they should not.

import { request as httpsRequest } from 'node:https'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { accessScene, loginOf, startAccessScene, type AccessScene } from '../fixtures/access-scene.ts'
import { createClientAuthority } from '../fixtures/client-authority.ts'
import { postForm, readToken, tokenOf } from '../fixtures/token-client.ts'
import type { TestResponse } from '../fixtures/sidecar.ts'
import { tempFolder } from '../fixtures/temp-folder.ts'
import { basic, get, openWire } from '../fixtures/wire.ts'
import { writeFileSync } from 'node:fs'
import path from 'node:path'

const RULES = `rules:
  - {who: anonymous, repositories: ["public/**"], allow: [pull]}
  - {who: dev, repositories: ["team/**"], allow: [pull, push]}
`
const LOGIN = { username: 'dev', password: 'secret of dev' }
const WRONG = { username: 'dev', password: 'wrong secret' }

const scene = (env: Readonly<Record<string, string>> = {}, rules?: string): Promise<AccessScene> =>
  accessScene(['dev'], rules ?? RULES, env)

/** For tests that count neither failed logins nor lines. */
let shared: AccessScene
beforeAll(async () => {
  shared = await startAccessScene(['dev'], RULES)
})
afterAll(() => shared.stop())

function errorIn({ status, headers, body }: TestResponse): readonly [number, string, string | undefined] {
  const { errors } = JSON.parse(body.toString()) as { errors: readonly { code: string }[] }
  return [status, errors[0]?.code ?? '', headers['www-authenticate']]
}

const UNAUTHORIZED = [401, 'UNAUTHORIZED', 'Basic realm="Registry"']

describe('a token', () => {
  it('comes for a right password, in a header or a form, with all that clients read and nothing else', async () => {
    const { sidecar } = shared
    const query = '?account=dev&client_id=docker&offline_token=true&service=registry-sidecar'
    const asked = { access_type: 'offline', client_id: 'containerd-client', service: 'registry-sidecar' }
    for (const answer of [
      await sidecar.request({ path: `/token${query}`, as: loginOf('dev') }),
      await postForm(sidecar, { grant_type: 'password', ...asked, ...LOGIN }),
    ]) {
      const token = readToken(answer)
      expect(Object.keys(token).sort()).toEqual(['access_token', 'expires_in', 'token'])
      expect(token).toMatchObject({ access_token: token.token, expires_in: 3600 })
      expect(answer.headers).toMatchObject({
        'content-type': 'application/json',
        'cache-control': 'no-store',
        'x-content-type-options': 'nosniff',
      })
      const headers = { Authorization: `Bearer ${token.token}` }
      expect((await sidecar.request({ path: '/v2/', headers })).status).toBe(200)
    }
  })

  it('of anonymous comes without credentials: GET, POST without a grant, and podman’s empty ones', async () => {
    const { sidecar } = shared
    for (const answer of [
      await sidecar.request({ path: '/token' }),
      await sidecar.request({ path: '/token', headers: { Authorization: 'Basic Og==' } }),
      await postForm(sidecar, { service: 'registry-sidecar', client_id: 'regclient' }),
      await sidecar.request({ method: 'POST', path: '/token' }),
    ])
      expect(readToken(answer).expires_in).toBe(3600)
  })

  it('comes with fewer rights for what the user may not do, and never with a refusal', async () => {
    const { sidecar } = shared
    const scopes = [
      'repository:team/app:pull,push,delete',
      'repository:secret/app:pull',
      'repository(plugin):public/app:*',
      'repository:host:5000/x:pull',
      'registry:catalog:*',
      'nonsense',
    ]
    const query = scopes.map((scope) => `scope=${encodeURIComponent(scope)}`).join('&')
    const granted = 'repository:team/app:pull,push repository:public/app:pull'
    const inQuery = await sidecar.request({ path: `/token?${query}`, as: loginOf('dev') })
    expect(readToken(inQuery).scope).toBe(granted)
    const inForm = await postForm(sidecar, { grant_type: 'password', scope: scopes.join(' '), ...LOGIN })
    expect(readToken(inForm).scope).toBe(granted)
    const anonymous = await sidecar.request({ path: `/token?${query}` })
    expect(readToken(anonymous).scope).toBe('repository:public/app:pull')
    // Jib encodes nothing.
    const plain = await sidecar.request({
      path: '/token?service=registry-sidecar&scope=repository:public/a:pull',
    })
    expect(readToken(plain).scope).toBe('repository:public/a:pull')
  })
})

describe('no token', () => {
  it('comes for a wrong password or an unknown user, not even one of anonymous', async () => {
    const { sidecar } = shared
    for (const answer of [
      await sidecar.request({ path: '/token', as: 'dev:wrong secret' }),
      await sidecar.request({ path: '/token', as: 'nobody:wrong secret' }),
      await postForm(sidecar, { grant_type: 'password', ...WRONG, password: 'another wrong one' }),
      await postForm(sidecar, { username: 'dev' }),
    ])
      expect(errorIn(answer)).toEqual(UNAUTHORIZED)
  })

  it.each<[what: string, rules: string | undefined]>([
    ['rules that do not name anonymous', `rules: [{who: dev, repositories: ["**"], allow: [pull]}]`],
    ['no rules', undefined],
  ])('comes without credentials under %s', async (_what, rules) => {
    const { sidecar } = await accessScene(['dev'], rules)
    expect(errorIn(await sidecar.request({ path: '/token' }))).toEqual(UNAUTHORIZED)
    expect(errorIn(await postForm(sidecar, { service: 'x' }))).toEqual(UNAUTHORIZED)
    expect(await tokenOf(sidecar, loginOf('dev'))).toMatch(/^eyJ/)
  })

  it('comes for a token, so that no token outlives its hour, or for a refresh token', async () => {
    const { sidecar } = shared
    const headers = { Authorization: `Bearer ${await tokenOf(sidecar, loginOf('dev'))}` }
    expect(errorIn(await sidecar.request({ path: '/token', headers }))).toEqual(UNAUTHORIZED)
    const refresh = { grant_type: 'refresh_token', refresh_token: 'x', service: 'registry-sidecar' }
    expect(errorIn(await postForm(sidecar, refresh))).toEqual(UNAUTHORIZED)
  })

  it.each<[what: string, status: number, ask: (scene: AccessScene) => Promise<TestResponse>]>([
    [
      'a password in the URL',
      400,
      ({ sidecar }) => sidecar.request({ path: '/token?username=dev&password=x' }),
    ],
    ['two names', 400, ({ sidecar }) => postForm(sidecar, 'username=dev&username=root&password=x')],
    [
      'a form and a header',
      400,
      ({ sidecar }) =>
        sidecar.request({
          method: 'POST',
          path: '/token',
          as: loginOf('dev'),
          headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
          body: 'username=dev&password=x',
        }),
    ],
    [
      'JSON',
      415,
      ({ sidecar }) =>
        sidecar.request({
          method: 'POST',
          path: '/token',
          headers: { 'Content-Type': 'application/json' },
          body: '{}',
        }),
    ],
    [
      'a multipart form',
      415,
      ({ sidecar }) =>
        sidecar.request({
          method: 'POST',
          path: '/token',
          headers: { 'Content-Type': 'multipart/form-data; boundary=x' },
          body: '--x--',
        }),
    ],
    ['a form over 64 KiB', 413, ({ sidecar }) => postForm(sidecar, `scope=${'a'.repeat(65_536)}`)],
    [
      'an endless form',
      413,
      ({ sidecar }) =>
        sidecar.request({
          method: 'POST',
          path: '/token',
          headers: {
            'Content-Type': 'application/x-www-form-urlencoded',
            'Transfer-Encoding': 'chunked',
          },
          body: 'a'.repeat(1_000_000),
        }),
    ],
    ['PUT', 404, ({ sidecar }) => sidecar.request({ method: 'PUT', path: '/token' })],
    ['another address', 404, ({ sidecar }) => sidecar.request({ path: '/token/' })],
  ])('comes for %s', async (_what, status, ask) => {
    const answer = await ask(shared)
    expect(errorIn(answer)).toEqual([status, 'UNSUPPORTED', undefined])
  })

  it('comes for two Authorization headers', async () => {
    const { sidecar } = shared
    const wire = await openWire(sidecar)
    const answer = await wire.send(get('/token', basic(loginOf('dev')), 'Authorization: Bearer a.b.c'))
    expect(answer).toMatch(/^HTTP\/1\.1 400 /)
  })
})

it('a form of 60 KiB is read, also after 100-continue', async () => {
  const { sidecar } = shared
  const scope = `scope=repository:public/app:pull${'+x'.repeat(30_000)}`
  expect(readToken(await postForm(sidecar, scope)).scope).toBe('repository:public/app:pull')
  const { port, root } = sidecar
  const status = await new Promise<number>((resolve, reject) => {
    const request = httpsRequest({
      port,
      ca: root.pem,
      host: '127.0.0.1',
      method: 'POST',
      path: '/token',
      headers: {
        'Content-Type': 'application/x-www-form-urlencoded',
        'Content-Length': Buffer.byteLength(scope),
        Expect: '100-continue',
      },
    })
    request.on('error', reject)
    request.on('continue', () => request.end(scope))
    request.on('response', (response) => {
      response.resume()
      resolve(response.statusCode ?? 0)
    })
  })
  expect(status).toBe(200)
})

it('forms stay refused at every other address', async () => {
  const { sidecar, forwarded } = shared
  const before = forwarded()
  const form = { 'Content-Type': 'application/x-www-form-urlencoded' }
  for (const path of ['/v2/team/app/blobs/uploads/', '/v2/token', '/v2/team/token/blobs/uploads/'])
    expect(
      (await sidecar.request({ method: 'POST', path, headers: form, body: 'mount=x', as: loginOf('dev') }))
        .status,
    ).toBe(400)
  expect(forwarded()).toEqual(before)
})

describe('the throttle', () => {
  const statusOf = async (answer: Promise<TestResponse>): Promise<number> => (await answer).status

  it('counts a password that one client sends twice, as a form and in a header, once', async () => {
    const { sidecar } = await scene({ SIDECAR_THROTTLE: '3/1h' })
    for (const password of ['wrong one', 'wrong two', 'wrong three']) {
      const form = postForm(sidecar, { grant_type: 'password', username: 'dev', password })
      expect(await statusOf(form)).toBe(401)
      expect(await statusOf(sidecar.request({ path: '/token', as: `dev:${password}` }))).toBe(401)
    }
    const fourth = await sidecar.request({ path: '/token', as: 'dev:wrong four' })
    expect(errorIn(fourth)).toEqual([429, 'TOOMANYREQUESTS', undefined])
    expect(fourth.headers['retry-after']).toBeDefined()
    const refused = sidecar.lines.filter(
      ({ msg, reason }) => msg === 'login refused' && reason === 'wrong password',
    )
    expect(refused).toHaveLength(3)
  })

  it('counts one password that never changes too', async () => {
    const { sidecar } = await scene({ SIDECAR_THROTTLE: '3/1h' })
    const statuses = []
    for (let i = 0; i < 7; i++)
      statuses.push(await statusOf(sidecar.request({ path: '/token', as: 'dev:wrong' })))
    expect(statuses).toEqual([401, 401, 401, 401, 401, 401, 429])
  })

  it('counts wrong tokens without a bcrypt check, and lets valid tokens pass', async () => {
    const { sidecar } = await scene({ SIDECAR_THROTTLE: '3/1h' })
    const valid = await tokenOf(sidecar, loginOf('dev'))
    const other = await tokenOf((await scene()).sidecar, loginOf('dev'))
    const { comparisons } = sidecar
    const ask = (token: string) =>
      sidecar.request({ path: '/v2/', headers: { Authorization: `Bearer ${token}` } })
    for (const token of ['wrong', other, `${valid.slice(0, -2)}AA`]) {
      const answer = await ask(token)
      expect(answer.status).toBe(401)
      expect(answer.headers['www-authenticate']).toMatch(/^Bearer .*,error="invalid_token"$/)
    }
    expect(errorIn(await ask('wrong'))).toEqual([429, 'TOOMANYREQUESTS', undefined])
    expect(await statusOf(sidecar.request({ path: '/v2/', as: 'dev:wrong' }))).toBe(429)
    expect((await ask(valid)).status).toBe(200)
    expect(sidecar.comparisons).toBe(comparisons)
    const reasons = sidecar.lines.filter(({ msg }) => msg === 'login refused').map(({ reason }) => reason)
    expect(reasons).toEqual([
      'malformed token',
      'token of another key',
      'wrong token',
      'too many failed logins',
    ])
  })
})

it('a token in a query counts for nothing and reaches no log', async () => {
  const { sidecar } = shared
  const token = await tokenOf(sidecar, loginOf('dev'))
  for (const name of ['access_token', 'token', 'authorization'])
    expect((await sidecar.request({ path: `/v2/team/app/tags/list?${name}=${token}` })).status).toBe(401)
  expect(JSON.stringify(sidecar.lines)).not.toContain(token)
})

it('a user called anonymous is another than anonymous', async () => {
  const { sidecar } = await accessScene(['anonymous'], RULES)
  const token = await tokenOf(sidecar, loginOf('anonymous'))
  await sidecar.request({ path: '/v2/public/app/tags/list' })
  await sidecar.request({ path: '/v2/', headers: { Authorization: `Bearer ${token}` } })
  const [, byAnonymous, byUser] = sidecar.lines.filter(({ msg }) => msg === 'request')
  expect(byAnonymous).toMatchObject({ anonymous: true, status: 200 })
  expect(byAnonymous).not.toHaveProperty('user')
  expect(byUser).toMatchObject({ user: 'anonymous', status: 200 })
  expect(byUser).not.toHaveProperty('anonymous')
})

it('where client certificates are demanded, /token demands one too, and every challenge asks for a password', async () => {
  const authority = createClientAuthority()
  const caFile = path.join(tempFolder(), 'client-ca.pem')
  writeFileSync(caFile, authority.cert)
  const { sidecar } = await scene({ SIDECAR_TLS_CLIENT_CA: caFile })
  expect((await sidecar.request({ path: '/token', as: loginOf('dev') })).status).toBe(403)
  const { cert, key } = authority.issue({ subject: 'dev' })
  expect(readToken(await sidecar.request({ path: '/token', as: loginOf('dev'), cert, key })).expires_in).toBe(
    3600,
  )
  const ping = await sidecar.request({ path: '/v2/', cert, key })
  expect(ping.headers['www-authenticate']).toBe('Basic realm="Registry"')
})
