import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { accessScene, usersFileOf, type AccessScene } from '../fixtures/access-scene.ts'
import { machinePasswordFor, type MachinePasswordOptions } from '../fixtures/machine-password.ts'
import { askAdmin } from '../fixtures/scrape.ts'
import { sharedAccessScenes } from '../fixtures/shared-access-scenes.ts'
import { until } from '../fixtures/until.ts'

const DIGEST = `sha256:${'a'.repeat(64)}`
const RULES = 'rules:\n  - {who: ci, repositories: ["team/**", base], allow: [pull, push]}\n'

const PULL = [
  'GET /v2/team/app/manifests/v1',
  `GET /v2/team/app/blobs/${DIGEST}`,
  'GET /v2/team/app/tags/list',
]
const PUSH = [
  'POST /v2/team/app/blobs/uploads/',
  `PUT /v2/team/app/blobs/uploads/1?digest=${DIGEST}`,
  'PUT /v2/team/app/manifests/v1',
]
const CHECK = ['HEAD /v2/team/app/manifests/v1']
const DELETE = [`DELETE /v2/team/app/manifests/${DIGEST}`, `DELETE /v2/team/app/blobs/${DIGEST}`]
const LOGIN = ['GET /v2/']
const CATALOG = ['GET /v2/_catalog']
const ELSEWHERE = ['GET /v2/other/app/tags/list']
const ODD = ['GET /v2/team/app/unknown/v1', 'POST /v2/team/app/blobs/uploads/1']
const ALL = [...PULL, ...PUSH, ...CHECK, ...DELETE, ...LOGIN, ...CATALOG, ...ELSEWHERE, ...ODD]

interface MachineScene extends AccessScene {
  readonly id: string
  readonly send: (request: string) => Promise<{ readonly status: number; readonly text: string }>
}

const sharedScene = sharedAccessScenes()

/** The users of a shared scene have only the machine password of the last test. */
async function machineScene(
  options: MachinePasswordOptions,
  rules?: string,
  startScene: typeof accessScene = sharedScene,
): Promise<MachineScene> {
  const scene = await startScene(['ci', 'other'], rules)
  const [ci = '', other = ''] = readFileSync(scene.sidecar.usersFile, 'utf8')
    .split('\n')
    .filter((line) => !line.startsWith('#'))
  const { id, secret, line } = machinePasswordFor(ci, options)
  scene.sidecar.writeUsers(`${ci}\n${other}\n${line}`)
  await scene.sidecar.reload()
  return {
    ...scene,
    id,
    send: async (request) => {
      const [method = '', target = ''] = request.split(' ')
      const { status, body } = await scene.askAs(`ci:${secret}`, method, target)
      return { status, text: body.toString() }
    },
  }
}

const TEAM: MachinePasswordOptions = { allow: ['pull'], repositories: ['team/**'] }

describe('a machine password', () => {
  it.each<
    [what: string, options: MachinePasswordOptions, rules: string | undefined, allowed: readonly string[]]
  >([
    ['that may pull, without rules', TEAM, undefined, [...PULL, ...CHECK, ...LOGIN]],
    [
      'that may pull and push',
      { ...TEAM, allow: ['pull', 'push'] },
      undefined,
      [...PULL, ...PUSH, ...CHECK, ...LOGIN],
    ],
    ['that may delete', { ...TEAM, allow: ['delete'] }, undefined, [...DELETE, ...LOGIN]],
    ['that may list the repositories', { ...TEAM, allow: ['catalog'] }, undefined, [...CATALOG, ...LOGIN]],
    [
      'that may do more than its user',
      { allow: ['pull', 'push', 'delete', 'catalog', 'status'] },
      RULES,
      [...PULL, ...PUSH, ...CHECK, ...LOGIN],
    ],
    ['whose user may do nothing', TEAM, 'rules: []\n', LOGIN],
    ['for another place than its user', { ...TEAM, repositories: ['other/**'] }, RULES, LOGIN],
  ])(
    '%s gets what both allow, and nothing else reaches the registry',
    async (_what, options, rules, allowed) => {
      const { send, forwarded } = await machineScene(options, rules)
      for (const request of ALL) {
        expect(`${request} ${(await send(request)).status}`).toBe(
          `${request} ${allowed.includes(request) ? 200 : 403}`,
        )
      }
      expect(forwarded().toSorted()).toEqual(allowed.toSorted())
    },
  )

  it.each([
    ['it may pull there', 'from=team/base', `?mount=${DIGEST}&from=team/base`],
    ['it may not pull there, although its user may', 'from=base', ''],
    ['its user may not pull there', 'from=secret', ''],
    ['there is no source', '', ''],
  ])('mounts a blob only where %s', async (_what, from, query) => {
    const options: MachinePasswordOptions = { allow: ['pull', 'push'], repositories: ['team/**', 'secret'] }
    const { send, forwarded } = await machineScene(options, RULES)
    const { status } = await send(`POST /v2/team/app/blobs/uploads/?mount=${DIGEST}${from && `&${from}`}`)
    expect(status).toBe(200)
    expect(forwarded()).toEqual([`POST /v2/team/app/blobs/uploads/${query}`])
  })

  it('that may push and not pull mounts nothing', async () => {
    const { send, forwarded } = await machineScene({ allow: ['push'] })
    await send(`POST /v2/team/app/blobs/uploads/?mount=${DIGEST}&from=team/base`)
    expect(forwarded()).toEqual(['POST /v2/team/app/blobs/uploads/'])
  })

  it('sets no tags through the query of a push', async () => {
    const { send, forwarded } = await machineScene({ allow: ['push'] })
    await send(`PUT /v2/team/app/manifests/${DIGEST}?tag=v1&tag=v2`)
    expect(forwarded()).toEqual([`PUT /v2/team/app/manifests/${DIGEST}`])
  })

  it('is named as the reason of a refusal, and its user where the user has no right', async () => {
    const { send, sidecar, id } = await machineScene(
      { allow: ['pull', 'delete'], repositories: ['team/**'] },
      RULES,
      accessScene,
    )
    expect((await send('PUT /v2/team/app/manifests/v1')).text).toContain(
      '"message":"this machine password may not push to team/app"',
    )
    expect((await send(`DELETE /v2/team/app/manifests/${DIGEST}`)).text).toContain(
      '"message":"ci may not delete from team/app"',
    )
    await send('GET /v2/team/app/tags/list')
    const facts = { user: 'ci', machinePassword: id }
    expect(sidecar.lines.filter(({ msg }) => msg === 'request')).toMatchObject([
      {
        ...facts,
        status: 403,
        action: 'push',
        repository: 'team/app',
        reason: 'the machine password does not allow it',
      },
      { ...facts, status: 403, action: 'delete', reason: 'no access rule allows it' },
      { ...facts, status: 200 },
    ])
  })
})

it('a refused machine password is logged with its reason, and its user only if there is one', async () => {
  const { sidecar, askAs } = await accessScene(['ci'])
  const [entry = ''] = readFileSync(sidecar.usersFile, 'utf8').split('\n')
  const expired = machinePasswordFor(entry, { allow: ['pull'], validForMs: -1 })
  const unknown = machinePasswordFor(entry, { allow: ['pull'] })
  sidecar.writeUsers(`${entry}\n${expired.line}`)
  await sidecar.reload()
  for (const login of [`ci:${expired.secret}`, `ci:${unknown.secret}`, `${unknown.secret}:${unknown.secret}`])
    expect(await askAs(login, 'GET', '/v2/')).toMatchObject({ status: 401 })
  expect(sidecar.comparisons).toBe(0)
  const refused = sidecar.lines.filter(({ msg }) => msg === 'login refused')
  expect(refused.map(({ reason, user }) => [reason, user])).toEqual([
    ['machine password expired', 'ci'],
    ['wrong machine password', 'ci'],
    ['wrong machine password', undefined],
  ])
  expect(sidecar.lines).toContainEqual(
    expect.objectContaining({ msg: 'a machine password has ended', id: expired.id }),
  )
})

it('a damaged line is named without its content in the log and in /readyz, and the other passwords work', async () => {
  const { sidecar, ask, askAs } = await accessScene(['ci'])
  const entries = usersFileOf(['ci'])
  const good = machinePasswordFor(entries, { allow: ['pull'] })
  const damaged = machinePasswordFor(entries, { allow: ['pull'] })
  sidecar.writeUsers(`${entries}${damaged.line.replace('sha256', 'sha255')}${good.line.trimEnd()}\r\n`)
  await until(async () => (await askAs(`ci:${good.secret}`, 'GET', '/v2/')).status === 200, {
    deadlineMs: 1_000,
    what: 'the new users',
  })
  expect((await ask('ci', 'GET', '/v2/')).status).toBe(200)
  expect((await askAs(`ci:${damaged.secret}`, 'GET', '/v2/')).status).toBe(401)
  expect((await askAdmin(sidecar, '/readyz')).text).toContain('skipped line 2: unusable machine password')
  expect(sidecar.lines).toContainEqual(
    expect.objectContaining({
      line: 2,
      reason: 'this line should hold a machine password, but it is damaged; remove it',
    }),
  )
})
