import { describe, expect, it } from 'vitest'
import { answering, OK, upstreamForTest } from '../fixtures/programmable-upstream.ts'
import { ALICE, sidecarForTest, type TestRequest } from '../fixtures/sidecar.ts'
import { until } from '../fixtures/until.ts'

const basic = (text: string): string => `Basic ${Buffer.from(text).toString('base64')}`
const authorized = (Authorization: string): TestRequest => ({ headers: { Authorization } })

describe('a request without the right credentials', () => {
  it('gets the same bytes for every reason, and never reaches the registry', async () => {
    const upstream = await upstreamForTest(answering(OK))
    const sidecar = await sidecarForTest({ upstreamPort: upstream.port })
    const attempts: readonly [reason: string, request: TestRequest][] = [
      ['no credentials', {}],
      ['wrong password', { as: 'alice:wrong' }],
      ['unknown user', { as: 'mallory:correct horse' }],
      ['password too long', { as: `alice:${'x'.repeat(73)}` }],
      ['an empty user', authorized(basic(':x'))],
      ['an empty password', authorized(basic('alice:'))],
      ['no colon', authorized(basic('alice'))],
      ['a NUL in the password', authorized(basic('alice:correct horse\0'))],
      ['no base64', authorized('Basic %%%')],
      ['another scheme', authorized('Bearer abc')],
      ['nothing after the scheme', authorized('Basic')],
    ]
    const answers = new Set<string>()
    for (const [, request] of attempts) {
      const { status, rawHeaders, body } = await sidecar.request({ path: '/v2/', ...request })
      const withoutDate = rawHeaders.filter((_, i) => rawHeaders[i - (i % 2)] !== 'Date')
      answers.add(JSON.stringify([status, withoutDate, body.toString()]))
    }
    expect(answers.size).toBe(1)
    expect(upstream.received).toEqual([])
  })

  it('gets a challenge that every client understands', async () => {
    const sidecar = await sidecarForTest({ env: { SIDECAR_REALM: 'My "team"' } })
    for (const path of ['/v2', '/v2/', '/v2/app/manifests/latest']) {
      const { status, headers, rawHeaders, body } = await sidecar.request({ path })
      expect(status).toBe(401)
      expect(rawHeaders.filter((text) => text === 'WWW-Authenticate')).toHaveLength(1)
      expect(headers['www-authenticate']).toBe('Basic realm="My \\"team\\""')
      expect(headers['docker-distribution-api-version']).toBe('registry/2.0')
      expect(headers['content-type']).toBe('application/json')
      expect(JSON.parse(body.toString())).toEqual({
        errors: [{ code: 'UNAUTHORIZED', message: 'authentication required', detail: null }],
      })
    }
    const head = await sidecar.request({ method: 'HEAD', path: '/v2/' })
    expect([head.status, head.body.length]).toEqual([401, 0])
  })

  it('has its own reason in the log, and a user only after verification', async () => {
    const upstream = await upstreamForTest(answering(OK))
    const sidecar = await sidecarForTest({ upstreamPort: upstream.port })
    const requests = () => sidecar.lines.filter(({ msg }) => msg === 'request')
    await sidecar.request({ as: 'alice:wrong', path: '/v2/?secret=1' })
    await until(() => requests().length === 1, { deadlineMs: 20_000, what: 'the first line' })
    await sidecar.request({ as: ALICE, path: '/v2/?secret=1' })
    await until(() => requests().length === 2, { deadlineMs: 20_000, what: 'the second line' })
    expect(requests()).toMatchObject([
      { status: 401, reason: 'wrong password', method: 'GET', path: '/v2/', address: '127.0.0.1' },
      { status: 200, user: 'alice', method: 'GET', path: '/v2/' },
    ])
    expect(requests()[0]).not.toHaveProperty('user')
    for (const { in: received, out, ms } of requests()) {
      expect(received).toBeGreaterThan(50)
      expect(out).toBeGreaterThan(50)
      expect(ms).toBeGreaterThan(0)
    }
  })
})

describe('a path outside the registry', () => {
  it.each([
    ['/', 404],
    ['/v1/_ping', 404],
    ['/v2x', 404],
    ['/-/nothing', 404],
  ])('%s is %i in the registry’s error form, with and without credentials', async (path, status) => {
    const upstream = await upstreamForTest(answering(OK))
    const sidecar = await sidecarForTest({ upstreamPort: upstream.port })
    for (const request of [{ path }, { path, as: ALICE }]) {
      const answer = await sidecar.request(request)
      expect(answer.status).toBe(status)
      expect(answer.body.toString()).toMatch(/^\{"errors":\[\{"code":"/)
    }
    expect(upstream.received).toEqual([])
  })
})

describe('without users', () => {
  it('every answer is 503 with the reason until the users file appears', async () => {
    const upstream = await upstreamForTest(answering(OK))
    const sidecar = await sidecarForTest({ upstreamPort: upstream.port, users: null })
    const before = await sidecar.request({ as: ALICE, path: '/v2/' })
    expect(before.status).toBe(503)
    expect(before.headers['retry-after']).toBeDefined()
    expect(before.body.toString()).toContain('"code":"UNAVAILABLE","message":"no users are configured"')
    expect((await sidecar.readiness()).parts.users).toMatchObject({ ready: false, state: 'missing' })
    const { ALICE_ENTRY } = await import('../fixtures/sidecar.ts')
    sidecar.writeUsers(ALICE_ENTRY)
    // Without a login, because its first check waits for the threads to start.
    const isPickedUp = async () => (await sidecar.request({ path: '/v2/' })).status === 401
    await until(isPickedUp, { deadlineMs: 1_000, what: 'the file picked up' })
    expect((await sidecar.request({ as: ALICE, path: '/v2/' })).status).toBe(200)
  })

  it('an emptied file refuses everyone', async () => {
    const sidecar = await sidecarForTest({ users: '# nobody yet\n' })
    expect((await sidecar.request({ as: ALICE, path: '/v2/' })).status).toBe(401)
    expect((await sidecar.readiness()).parts.users).toMatchObject({ ready: true, state: 'empty' })
  })

  it('an unusable file keeps the last good users and says stale', async () => {
    const upstream = await upstreamForTest(answering(OK))
    const sidecar = await sidecarForTest({ upstreamPort: upstream.port })
    sidecar.writeUsers('this is no htpasswd file\n')
    await until(() => sidecar.users.state.kind === 'stale', { deadlineMs: 20_000, what: 'the failed reload' })
    expect((await sidecar.request({ as: ALICE, path: '/v2/' })).status).toBe(200)
    expect(await sidecar.readiness()).toMatchObject({ parts: { users: { ready: true, state: 'stale' } } })
  })
})
