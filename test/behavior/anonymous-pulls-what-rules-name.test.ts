// Asks each address without a login, with a token, and with a password.

import { describe, expect, it } from 'vitest'
import { accessScene, loginOf, type AccessScene } from '../fixtures/access-scene.ts'
import { sharedAccessScenes } from '../fixtures/shared-access-scenes.ts'
import { tokenOf } from '../fixtures/token-client.ts'

const RULES = `rules:
  - {who: anonymous, repositories: ["public/**"], allow: [pull]}
  - {who: dev, repositories: ["**"], allow: [pull, push]}
  - {who: reader, repositories: ["secret/**"], allow: [pull]}
`
const HOST = 'registry.example:8443'
const DIGEST = `sha256:${'a'.repeat(64)}`
const PUBLIC = '/v2/public/app/manifests/v1'
const SECRET = '/v2/secret/app/manifests/v1'
const BASIC = 'Basic realm="Registry"'
const BEARER = `Bearer realm="https://${HOST}/token",service="registry-sidecar"`

type Headers = Readonly<Record<string, string>>

function scene(env: Headers = {}, rules = RULES): Promise<AccessScene> {
  return accessScene(['dev', 'reader'], rules, { SIDECAR_HOSTS: 'registry.example', ...env })
}

const shared = sharedAccessScenes()
/** For tests that change no rules and read no log. */
const sharedScene = (env: Headers = {}, rules = RULES): Promise<AccessScene> =>
  shared(['dev', 'reader'], rules, { SIDECAR_HOSTS: 'registry.example', ...env })

/** The status, and the challenge after it. */
async function ask({ sidecar }: AccessScene, request: string, headers: Headers = {}): Promise<string> {
  const [method = '', path = ''] = request.split(' ')
  const answer = await sidecar.request({ method, path, headers: { host: HOST, ...headers } })
  return [answer.status, answer.headers['www-authenticate']].join(' ').trim()
}

const bearer = (token: string): Headers => ({ Authorization: `Bearer ${token}` })
const basic = (text: string): Headers => ({ Authorization: `Basic ${Buffer.from(text).toString('base64')}` })

describe('without a login', () => {
  it('what rules name is answered at once, and all else asks for a password', async () => {
    const lab = await sharedScene()
    const allowed = [
      `GET ${PUBLIC}`,
      `HEAD ${PUBLIC}`,
      `GET /v2/public/app/blobs/${DIGEST}`,
      'GET /v2/public/app/tags/list',
      `GET /v2/public/app/referrers/${DIGEST}`,
    ]
    const refused = [
      `GET ${SECRET}`,
      `HEAD ${SECRET}`,
      'POST /v2/public/app/blobs/uploads/',
      `PUT ${PUBLIC}`,
      `DELETE /v2/public/app/manifests/${DIGEST}`,
      'GET /v2/_catalog',
      'GET /v2/no/such/address',
      `GET ${PUBLIC}/`,
    ]
    for (const request of allowed) expect(await ask(lab, request), request).toBe('200')
    for (const request of refused) expect(await ask(lab, request), request).toBe(`401 ${BASIC}`)
    expect(lab.forwarded()).toEqual(allowed)
  })

  it('the ping asks for a token and is never 200, so that clients send the login that they have', async () => {
    const lab = await sharedScene()
    for (const request of ['GET /v2/', 'HEAD /v2/', 'GET /v2'])
      expect(await ask(lab, request), request).toBe(`401 ${BEARER}`)
  })

  it('the ping asks a browser for a password, because it shows no dialog for a token', async () => {
    const lab = await sharedScene()
    for (const headers of [{ accept: 'text/html,*/*;q=0.8' }, { 'sec-fetch-mode': 'cors' }])
      expect(await ask(lab, 'GET /v2/', headers)).toBe(`401 ${BASIC}`)
  })

  it('an empty name and password are no login and never throttled, as podman sends them', async () => {
    const lab = await scene({ SIDECAR_THROTTLE: '3/1h' })
    for (let i = 0; i < 10; i++) {
      expect(await ask(lab, `GET ${SECRET}`, basic(':'))).toBe(`401 ${BASIC}`)
      expect(await ask(lab, `GET ${PUBLIC}`, basic(':'))).toBe('200')
    }
    expect(lab.sidecar.lines.filter(({ msg }) => msg === 'login refused')).toEqual([])
  })

  it('the registry learns no user, and the log says anonymous', async () => {
    const { sidecar, upstream } = await scene()
    await sidecar.request({ path: PUBLIC })
    expect(upstream.received.join('')).not.toMatch(/x-forwarded-user/i)
    const line = sidecar.lines.find(({ msg }) => msg === 'request')
    expect(line).toMatchObject({ anonymous: true, status: 200 })
    expect(line).not.toHaveProperty('user')
  })
})

it('a token of anonymous pulls the same, and a refusal says that its scope is insufficient', async () => {
  const lab = await scene()
  const token = bearer(await tokenOf(lab.sidecar))
  const lacks = (scope: string) => `401 ${BEARER},scope="${scope}",error="insufficient_scope"`
  for (const [request, expected] of [
    [`GET ${PUBLIC}`, '200'],
    [`GET ${SECRET}`, lacks('repository:secret/app:pull')],
    [`HEAD ${SECRET}`, lacks('repository:secret/app:pull')],
    ['POST /v2/public/app/blobs/uploads/', lacks('repository:public/app:pull,push')],
    [`DELETE /v2/public/app/manifests/${DIGEST}`, lacks('repository:public/app:delete')],
    ['GET /v2/_catalog', lacks('registry:catalog:*')],
    ['GET /v2/', `401 ${BEARER},error="insufficient_scope"`],
    ['GET /v2/no/such/address', `401 ${BEARER},error="insufficient_scope"`],
  ] as const)
    expect(await ask(lab, request, token), request).toBe(expected)
  expect(lab.forwarded()).toEqual([`GET ${PUBLIC}`])
  const refused = lab.sidecar.lines.filter(({ status }) => status === 401)
  expect(refused[0]).toMatchObject({ anonymous: true, action: 'pull', repository: 'secret/app' })
})

it.each(['password', 'token'])('the %s of a user gets 200 or 403, and never a challenge', async (kind) => {
  const lab = await scene()
  const login = loginOf('reader')
  const headers = kind === 'password' ? basic(login) : bearer(await tokenOf(lab.sidecar, login))
  for (const [request, expected] of [
    ['GET /v2/', '200'],
    [`GET ${PUBLIC}`, '200'],
    [`GET ${SECRET}`, '200'],
    [`PUT ${SECRET}`, '403'],
    [`HEAD /v2/other/manifests/v1`, '403'],
    ['GET /v2/_catalog', '403'],
  ] as const)
    expect(await ask(lab, request, headers), request).toBe(expected)
  const refused = await lab.sidecar.request({ method: 'PUT', path: SECRET, headers })
  expect(refused.body.toString()).toContain('"code":"DENIED","message":"reader may not push to secret/app"')
  expect(lab.upstream.received.join('')).toMatch(/x-forwarded-user: reader\r\n/i)
  expect(lab.sidecar.lines.filter(({ msg }) => msg === 'request').at(-1)).toMatchObject({ user: 'reader' })
})

it('a mount without the right to its source becomes an upload, for a token too', async () => {
  const lab = await sharedScene({}, `rules: [{who: dev, repositories: ["team/**"], allow: [pull, push]}]`)
  const token = bearer(await tokenOf(lab.sidecar, loginOf('dev')))
  const uploads = '/v2/team/app/blobs/uploads/'
  for (const query of [`?mount=${DIGEST}&from=secret/app`, `?mount=${DIGEST}`])
    expect(await ask(lab, `POST ${uploads}${query}`, token)).toBe('200')
  expect(lab.forwarded()).toEqual([`POST ${uploads}`, `POST ${uploads}`])
})

it('an upload is cancelled with the right to push, which registries would call a deletion', async () => {
  const lab = await sharedScene()
  const token = bearer(await tokenOf(lab.sidecar, loginOf('dev')))
  expect(await ask(lab, 'DELETE /v2/team/app/blobs/uploads/1', token)).toBe('200')
})

describe('a change of the rules', () => {
  it('that no longer name anonymous ends its pulls, and later challenges ask for a password', async () => {
    const lab = await scene()
    const token = bearer(await tokenOf(lab.sidecar))
    expect(await ask(lab, `GET ${PUBLIC}`, token)).toBe('200')
    lab.putRules(`rules: [{who: dev, repositories: ["**"], allow: [pull]}]`)
    await lab.sidecar.reload()
    for (const headers of [{}, token]) {
      expect(await ask(lab, `GET ${PUBLIC}`, headers)).toBe(`401 ${BASIC}`)
      expect(await ask(lab, 'GET /v2/', headers)).toBe(`401 ${BASIC}`)
    }
    expect((await lab.sidecar.request({ path: '/token' })).status).toBe(401)
  })

  it('cuts no client that pushes with a token', async () => {
    const lab = await scene()
    const token = bearer(await tokenOf(lab.sidecar, loginOf('dev')))
    lab.putRules(`rules: [{who: dev, repositories: ["**"], allow: [push]}]`)
    await lab.sidecar.reload()
    expect(await ask(lab, 'PATCH /v2/team/app/blobs/uploads/1', token)).toBe('200')
  })
})

describe('SIDECAR_CHALLENGE', () => {
  it('basic asks for a password everywhere, and tokens are accepted all the same', async () => {
    const lab = await sharedScene({ SIDECAR_CHALLENGE: 'basic' })
    for (const request of ['GET /v2/', `GET ${SECRET}`]) expect(await ask(lab, request)).toBe(`401 ${BASIC}`)
    expect(await ask(lab, 'GET /v2/', bearer(await tokenOf(lab.sidecar, loginOf('dev'))))).toBe('200')
  })

  it('bearer asks for a token everywhere, and passwords are accepted all the same', async () => {
    const lab = await sharedScene({ SIDECAR_CHALLENGE: 'bearer' })
    expect(await ask(lab, 'GET /v2/')).toBe(`401 ${BEARER}`)
    expect(await ask(lab, `GET ${SECRET}`)).toBe(`401 ${BEARER},scope="repository:secret/app:pull"`)
    expect(await ask(lab, `GET ${PUBLIC}`)).toBe('200')
    expect(await ask(lab, `GET ${SECRET}`, basic(loginOf('reader')))).toBe('200')
  })
})
