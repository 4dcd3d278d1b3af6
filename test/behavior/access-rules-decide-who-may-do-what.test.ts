import { describe, expect, it } from 'vitest'
import { accessScene } from '../fixtures/access-scene.ts'
import { askAdmin } from '../fixtures/scrape.ts'
import { sharedAccessScenes } from '../fixtures/shared-access-scenes.ts'

const DIGEST = `sha256:${'a'.repeat(64)}`
const RULES = `groups:
  ci: [builder]
rules:
  - {who: puller, repositories: ["team/**"], allow: [pull]}
  - {who: pusher, repositories: ["team/**"], allow: [push]}
  - {who: "@ci", repositories: ["team/**", "lib"], allow: [pull, push, delete, catalog]}
`
const sharedScene = sharedAccessScenes()
const USERS = ['puller', 'pusher', 'builder', 'guest']

const PULL = [
  `GET /v2/team/app/manifests/v1`,
  `GET /v2/team/app/blobs/${DIGEST}`,
  'GET /v2/team/app/tags/list',
]
const PUSH = [
  'POST /v2/team/app/blobs/uploads/',
  'PATCH /v2/team/app/blobs/uploads/1?_state=x',
  `PUT /v2/team/app/blobs/uploads/1?digest=${DIGEST}`,
  'PUT /v2/team/app/manifests/v1',
]
const CHECK = ['HEAD /v2/team/app/manifests/v1', `HEAD /v2/team/app/blobs/${DIGEST}`]
const DELETE = [`DELETE /v2/team/app/manifests/${DIGEST}`]
const LOGIN = ['GET /v2/']
const CATALOG = ['GET /v2/_catalog']
const ALL = [...PULL, ...PUSH, ...CHECK, ...DELETE, ...LOGIN, ...CATALOG]

describe('with access rules', () => {
  it.each([
    ['puller', [...PULL, ...CHECK, ...LOGIN]],
    ['pusher', [...PUSH, ...CHECK, ...LOGIN]],
    ['builder', ALL],
    ['guest', LOGIN],
  ])('%s may send what the rules allow, and nothing else reaches the registry', async (username, allowed) => {
    const scene = await sharedScene(USERS, RULES)
    for (const request of ALL) {
      const [method = '', target = ''] = request.split(' ')
      const { status } = await scene.ask(username, method, target)
      expect(`${request} ${status}`).toBe(`${request} ${allowed.includes(request) ? 200 : 403}`)
    }
    // Reads go out on a kept connection, which is listed first.
    expect(scene.forwarded().toSorted()).toEqual(allowed.toSorted())
  })

  it('a refusal names the missing right in the registry’s form, also for HEAD and for repositories that do not exist', async () => {
    const { ask } = await sharedScene(USERS, RULES)
    const answer = await ask('puller', 'PUT', '/v2/team/nowhere/manifests/v1')
    expect(answer).toMatchObject({
      status: 403,
      headers: { 'docker-distribution-api-version': 'registry/2.0', 'content-type': 'application/json' },
    })
    expect(answer.headers['www-authenticate']).toBeUndefined()
    expect(JSON.parse(answer.body.toString())).toEqual({
      errors: [{ code: 'DENIED', message: 'puller may not push to team/nowhere', detail: null }],
    })
    expect(await ask('guest', 'HEAD', '/v2/team/app/manifests/v1')).toMatchObject({
      status: 403,
      body: Buffer.alloc(0),
    })
  })

  it('the log names user, action and repository of a refusal, and no right of an allowed request', async () => {
    const { ask, sidecar } = await accessScene(USERS, RULES)
    await ask('guest', 'GET', '/v2/team/app/tags/list')
    await ask('guest', 'POST', '/v2/team/app/blobs/uploads/1')
    await ask('puller', 'GET', '/v2/team/app/tags/list')
    const lines = sidecar.lines.filter(({ msg }) => msg === 'request')
    expect(lines).toMatchObject([
      {
        user: 'guest',
        action: 'pull',
        repository: 'team/app',
        status: 403,
        reason: 'no access rule allows it',
      },
      {
        user: 'guest',
        status: 403,
        reason: 'no access rule allows this request: the registry does not support POST at this address',
      },
      { user: 'puller', status: 200 },
    ])
    expect(lines[2]).not.toHaveProperty('action')
  })

  it.each([
    ['with the right to pull there', 'builder', 'lib', `mount=${DIGEST}&from=lib`],
    ['without it', 'builder', 'secret', ''],
    ['without a source', 'builder', undefined, ''],
  ])('a mount %s is forwarded as the rules say', async (_what, username, from, query) => {
    const { ask, forwarded } = await sharedScene(USERS, RULES)
    const source = from === undefined ? '' : `&from=${from}`
    await ask(username, 'POST', `/v2/team/app/blobs/uploads/?mount=${DIGEST}${source}`)
    expect(forwarded()).toEqual([`POST /v2/team/app/blobs/uploads/${query === '' ? '' : `?${query}`}`])
  })

  it('a request without a login gets the challenge and not the refusal', async () => {
    const { sidecar, forwarded } = await sharedScene(USERS, RULES)
    const { status } = await sidecar.request({ path: '/v2/team/app/tags/list' })
    expect(status).toBe(401)
    expect(forwarded()).toEqual([])
  })

  it.each([
    [USERS, '3 rules'],
    [['puller'], '3 rules; unknown users at line 2, column 8; line 5, column 11'],
  ])(
    '/readyz counts the rules and says where unknown users are, without their names',
    async (users, reason) => {
      const { sidecar } = await sharedScene(users, RULES)
      const { status, text } = await askAdmin(sidecar, '/readyz')
      const { parts } = JSON.parse(text) as { parts: { access: unknown } }
      expect([status, parts.access]).toEqual([200, { ready: true, state: 'ok', reason }])
      expect(text).not.toMatch(/pusher|builder/)
    },
  )
})

it('without a rules file every user may do everything, and targets are forwarded byte for byte', async () => {
  const { ask, forwarded } = await sharedScene(['guest'])
  const odd = ['GET /v2/a/b:c?x=%zz&x', `POST /v2/A/blobs/uploads/1?mount=${DIGEST}&from=x&mount=`]
  for (const request of [...ALL, ...odd]) {
    const [method = '', target = ''] = request.split(' ')
    expect((await ask('guest', method, target)).status).toBe(200)
  }
  expect(forwarded().toSorted()).toEqual([...ALL, ...odd].toSorted())
})
