import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { accessScene, loginOf, usersFileOf } from '../fixtures/access-scene.ts'
import { createClientAuthority } from '../fixtures/client-authority.ts'
import { machinePasswordFor } from '../fixtures/machine-password.ts'
import { answering, OK, upstreamForTest } from '../fixtures/programmable-upstream.ts'
import { sharedAccessScenes } from '../fixtures/shared-access-scenes.ts'
import { ALICE, sidecarForTest } from '../fixtures/sidecar.ts'
import { watchStatus } from '../fixtures/status-events.ts'
import { expectStrictPolicy } from '../fixtures/strict-policy.ts'
import { tokenOf } from '../fixtures/token-client.ts'
import { tempFolder } from '../fixtures/temp-folder.ts'
import { until } from '../fixtures/until.ts'

const PATHS = ['/-/status', '/-/status.json', '/-/status/events']
const BROWSER = 'text/html,application/xhtml+xml,*/*;q=0.8'
const RULES = `rules:
  - {who: viewer, repositories: ["team/**"], allow: [pull, status]}
  - {who: reader, repositories: ["team/**"], allow: [pull]}
  - {who: anonymous, repositories: ["public/**"], allow: [pull]}
`

const sharedScene = sharedAccessScenes()

describe('without access rules', () => {
  it.each(PATHS)('%s is for every user, and for nobody without a login', async (path) => {
    const { sidecar, ask } = await sharedScene(['viewer'])
    const stranger = await sidecar.request({ path })
    expect(stranger.status).toBe(401)
    expect(stranger.headers['www-authenticate']).toMatch(/^Basic /)
    expect((await sidecar.request({ path, as: 'viewer:wrong' })).status).toBe(401)
    const head = await ask('viewer', 'HEAD', path)
    expect([head.status, head.body.length]).toEqual([200, 0])
    expect(head.headers).toMatchObject({
      'cache-control': 'no-store',
      'cross-origin-resource-policy': 'same-origin',
      'x-content-type-options': 'nosniff',
    })
    expect((await ask('viewer', 'POST', path)).status).toBe(404)
  })

  it('a machine password needs the right, even without rules', async () => {
    const users = usersFileOf(['viewer'])
    const status = machinePasswordFor(users, { allow: ['status'] })
    const pull = machinePasswordFor(users, { allow: ['pull'] })
    const sidecar = await sidecarForTest({ users: users + status.line + pull.line })
    const ask = (secret: string) => sidecar.request({ path: '/-/status.json', as: `viewer:${secret}` })
    expect((await ask(status.secret)).status).toBe(200)
    expect((await ask(pull.secret)).status).toBe(403)
    const headers = { accept: BROWSER }
    const page = await sidecar.request({ path: '/-/status', as: `viewer:${pull.secret}`, headers })
    expect([page.status, page.headers['content-type']]).toEqual([403, 'text/html; charset=utf-8'])
    expect(page.body.toString()).toContain('--allow status')
  })
})

describe('with access rules', () => {
  it.each(PATHS)('%s is for users with the right `status`, and never for anonymous', async (path) => {
    const { ask, sidecar } = await sharedScene(['viewer', 'reader'], RULES)
    expect((await ask('viewer', 'HEAD', path)).status).toBe(200)
    const denied = await ask('reader', 'GET', path)
    expect(denied.status).toBe(403)
    expect(denied.body.toString()).toContain('reader may not see the status page (status)')
    // Bearer would be a challenge that browsers and curl do not know.
    for (const headers of [{}, { authorization: 'Bearer x.y.z' }]) {
      const answer = await sidecar.request({ path, headers })
      expect([answer.status, answer.headers['www-authenticate']]).toEqual([401, 'Basic realm="Registry"'])
    }
  })

  it('a browser gets a page that explains the refusal, without names of others', async () => {
    const { sidecar } = await accessScene(['viewer', 'reader', '<b>'], RULES)
    const open = (username: string, path: string, accept = BROWSER) =>
      sidecar.request({ path, as: loginOf(username), headers: { accept } })
    const page = await open('reader', '/-/status')
    const text = page.body.toString()
    expect([page.status, page.headers.vary]).toEqual([403, 'Accept'])
    expect(page.headers['cross-origin-resource-policy']).toBe('same-origin')
    expectStrictPolicy(page, text)
    for (const part of ['logged in as <code>reader</code>', 'allow: [status]']) expect(text).toContain(part)
    expect(text).not.toMatch(/viewer|team|public/)
    expect((await open('<b>', '/-/status')).body.toString()).toContain('<code>&lt;b&gt;</code>')
    expect(sidecar.lines).toContainEqual(
      expect.objectContaining({ user: 'reader', status: 403, reason: 'no access rule allows it' }),
    )
    for (const path of ['/-/status.json', '/-/status/events'])
      expect((await open('reader', path)).headers['content-type']).toBe('application/json')
    expect((await open('reader', '/-/status', '*/*')).headers['content-type']).toBe('application/json')
  })

  it('a rule for anonymous gives the right to users alone', async () => {
    const rules = 'rules:\n  - {who: anonymous, repositories: ["**"], allow: [status]}\n'
    const { ask, sidecar } = await accessScene(['viewer'], rules)
    for (const path of PATHS) expect((await sidecar.request({ path })).status).toBe(401)
    expect((await ask('viewer', 'GET', PATHS[0] ?? '')).status).toBe(200)
  })

  it('shows the rights of each user', async () => {
    const { ask } = await sharedScene(['viewer', 'reader'], RULES)
    const { users } = JSON.parse((await ask('viewer', 'GET', '/-/status.json')).body.toString()) as never
    expect(users).toMatchObject([
      {
        user: 'viewer',
        cost: 4,
        machinePasswords: 0,
        rights: ['pull, status: team/**', 'pull: public/**'],
      },
      { user: 'reader', rights: ['pull: team/**', 'pull: public/**'] },
    ])
  })
})

describe('the stream of a viewer ends within a second', () => {
  const ended = (stream: { readonly isEnded: boolean }) =>
    until(() => stream.isEnded, { deadlineMs: 1_500, what: 'the stream ends' })

  it('when the user is removed, or gets another password', async () => {
    const users = usersFileOf(['one', 'two', 'three'])
    const [, two = '', three = ''] = users.split('\n')
    const sidecar = await sidecarForTest({ users })
    const streams = await Promise.all(
      ['one', 'two', 'three'].map((name) => watchStatus(sidecar, loginOf(name))),
    )
    const [first, second, third] = streams
    await until(() => streams.every(({ events }) => events.length > 0), { deadlineMs: 5_000, what: 'events' })
    sidecar.writeUsers(`${two.replace(/^two/, 'four')}\n${three}\ntwo:${three.split(':')[1] ?? ''}\n`)
    await until(() => sidecar.users.table.entries.has('four'), { deadlineMs: 5_000, what: 'the new users' })
    for (const stream of [first, second])
      await until(() => stream?.isEnded === true, { deadlineMs: 1_500, what: 'the stream ends' })
    expect(third?.isEnded).toBe(false)
  })

  it('when the machine password is revoked', async () => {
    const users = usersFileOf(['viewer'])
    const { line, secret } = machinePasswordFor(users, { allow: ['status'] })
    const sidecar = await sidecarForTest({ users: users + line })
    const stream = await watchStatus(sidecar, `viewer:${secret}`)
    sidecar.writeUsers(users)
    await until(() => sidecar.users.table.machinePasswords.size === 0, { deadlineMs: 5_000, what: 'revoked' })
    await ended(stream)
  })

  it('when the rules take the right away', async () => {
    const { sidecar, putRules } = await accessScene(['viewer'], RULES)
    const stream = await watchStatus(sidecar, loginOf('viewer'))
    putRules(RULES.replace('pull, status', 'pull'))
    await until(() => stream.isEnded, { deadlineMs: 3_000, what: 'the stream ends' })
  })

  it('when the client certificate or the token expires', async () => {
    const authority = createClientAuthority()
    const file = path.join(tempFolder(), 'client-ca.pem')
    writeFileSync(file, authority.cert)
    const env = { SIDECAR_TLS_CLIENT_CA: file, SIDECAR_TLS_CLIENT_AUTH: 'optional' }
    const sidecar = await sidecarForTest({ env })
    const notAfter = new Date(Math.ceil(Date.now() / 1_000) * 1_000 + 1_800_000)
    const stream = await watchStatus(sidecar, ALICE, authority.issue({ subject: 'alice', notAfter }))
    const withToken = await watchStatus(sidecar, { token: await tokenOf(sidecar, ALICE) })
    const streams = [stream, withToken]
    await until(() => streams.every(({ events }) => events.length > 0), { deadlineMs: 5_000, what: 'events' })
    const clock = vi.spyOn(Date, 'now').mockReturnValue(notAfter.getTime())
    onTestFinished(() => {
      clock.mockRestore()
    })
    await ended(stream)
    expect(withToken.isEnded).toBe(false)
    clock.mockReturnValue(notAfter.getTime() + 3_600_000)
    await ended(withToken)
  })

  it('at the start of a drain, which it does not delay', async () => {
    const upstream = await upstreamForTest(answering(OK))
    const sidecar = await sidecarForTest({ upstreamPort: upstream.port })
    const streams = [await watchStatus(sidecar, ALICE), await watchStatus(sidecar)]
    let isComplete: boolean | undefined
    void sidecar.drain(10_000).then((complete) => (isComplete = complete))
    await until(() => isComplete !== undefined, { deadlineMs: 2_000, what: 'the end of the drain' })
    expect(isComplete).toBe(true)
    await until(() => streams.every(({ isEnded }) => isEnded), {
      deadlineMs: 1_000,
      what: 'both streams end',
    })
  })
})

describe('viewers', () => {
  it('are limited per user and in total, and a place is free again when one leaves', async () => {
    const names = ['one', 'two', 'three', 'four', 'five']
    const sidecar = await sidecarForTest({ users: usersFileOf(names) })
    const watchAs = (name: string, count: number) =>
      Promise.all(Array.from({ length: count }, () => watchStatus(sidecar, loginOf(name))))
    const streams = await watchAs('one', 9)
    expect(streams.map(({ status }) => status).toSorted()).toEqual([...Array<number>(8).fill(200), 503])
    for (const name of ['two', 'three', 'four']) await watchAs(name, 8)
    expect((await watchAs('five', 1)).map(({ status }) => status)).toEqual([503])
    streams.find(({ status }) => status === 200)?.response.destroy()
    await until(async () => (await watchStatus(sidecar, loginOf('five'))).status === 200, {
      deadlineMs: 5_000,
      what: 'a free place',
    })
  })

  it('stay longer than the idle timeout', async () => {
    const sidecar = await sidecarForTest({ env: { SIDECAR_IDLE_TIMEOUT: '1s' } })
    const stream = await watchStatus(sidecar, ALICE)
    await until(() => stream.events.length > 0, { deadlineMs: 5_000, what: 'the first event' })
    const first = stream.events[0] ?? {}
    expect(Object.keys(first)).toContain('health')
    const startedAt = performance.now()
    await until(() => performance.now() - startedAt > 2_500, { deadlineMs: 10_000, what: 'time passes' })
    expect(stream.isEnded).toBe(false)
    const [, ...later] = stream.events
    let shown = first
    for (const event of later) {
      // Only sections that changed are sent again.
      for (const [name, text] of Object.entries(event)) expect(text).not.toBe(shown[name])
      shown = { ...shown, ...event }
    }
    expect(later).not.toEqual([])
  })
})
