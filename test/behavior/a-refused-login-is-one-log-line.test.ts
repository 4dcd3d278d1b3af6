import path from 'node:path'
import { PassThrough } from 'node:stream'
import { describe, expect, it } from 'vitest'
import { createLoginAudit, BUSY_REASON, THROTTLED_REASON } from '../../src/http/pipeline/login/login-audit.ts'
import { createLog, type Log } from '../../src/observability/log.ts'
import { loadFilter } from '../fixtures/fail2ban-filter.ts'
import { answering, OK, upstreamForTest } from '../fixtures/programmable-upstream.ts'
import { ALICE, sidecarForTest, type TestRequest, type TestSidecar } from '../fixtures/sidecar.ts'
import { until } from '../fixtures/until.ts'

const bannedFor = loadFilter(
  path.join(import.meta.dirname, '../../docker/fail2ban/filter.d/registry-sidecar.conf'),
)

const named = (sidecar: TestSidecar, msg: string) => sidecar.lines.filter((line) => line['msg'] === msg)
const refusals = (sidecar: TestSidecar) => named(sidecar, 'login refused')

async function requestsLogged(sidecar: TestSidecar, count: number): Promise<void> {
  const what = `${count} access lines`
  await until(() => named(sidecar, 'request').length >= count, { deadlineMs: 2_000, what })
}

const encoded = (text: string) => Buffer.from(text).toString('base64')
const authorized = (Authorization: string): TestRequest => ({ headers: { Authorization } })

describe('a refused login', () => {
  it.each<[what: string, request: TestRequest, line: Record<string, unknown>]>([
    ['a wrong password', { as: 'alice:SECRET' }, { reason: 'wrong password', user: 'alice' }],
    ['a password in the wrong field', { as: 'SECRET:SECRET' }, { reason: 'unknown user' }],
    [
      'a long password',
      { as: `alice:${'SECRET'.repeat(20)}` },
      { reason: 'password too long', user: 'alice' },
    ],
    ['no colon', authorized(`Basic ${encoded('SECRET')}`), { reason: 'the credentials have no colon' }],
    ['no base64', authorized('Basic SECRET!'), { reason: 'the credentials are not base64' }],
    ['no scheme', authorized('SECRET'), { reason: 'the scheme is unknown, not Basic' }],
  ])('for %s is one line in addition to the access line', async (_what, request, line) => {
    const sidecar = await sidecarForTest()
    expect((await sidecar.request({ path: '/v2/', ...request })).status).toBe(401)
    await requestsLogged(sidecar, 1)
    expect(refusals(sidecar)).toEqual([
      {
        level: 40,
        time: expect.any(String) as string,
        event: 'login-refused',
        msg: 'login refused',
        address: '127.0.0.1',
        ...line,
      },
    ])
    expect(named(sidecar, 'request')).toMatchObject([{ status: 401, reason: line['reason'] }])
    expect(JSON.stringify(sidecar.lines)).not.toContain('SECRET')
  })

  it('over the limit is also a line with the client’s address', async () => {
    const sidecar = await sidecarForTest({ env: { SIDECAR_THROTTLE: '1/1m' } })
    const from = { path: '/v2/', localAddress: '127.0.0.2', headers: { 'X-Forwarded-For': '192.0.2.9' } }
    for (let i = 0; i < 4; i++) await sidecar.request({ ...from, as: 'alice:wrong' })
    await requestsLogged(sidecar, 4)
    expect(refusals(sidecar)).toMatchObject([
      { address: '127.0.0.2', reason: 'wrong password', user: 'alice' },
      { address: '127.0.0.2', reason: 'too many failed logins' },
    ])
    await sidecar.stop()
    expect(refusals(sidecar).slice(2)).toMatchObject([
      { address: '127.0.0.2', reason: 'too many failed logins', count: 2 },
    ])
  })

  it('does not appear for a request without credentials or with the right ones', async () => {
    const upstream = await upstreamForTest(answering(OK))
    const sidecar = await sidecarForTest({ upstreamPort: upstream.port })
    expect((await sidecar.request({ path: '/v2/' })).status).toBe(401)
    expect((await sidecar.request({ path: '/v2/', as: ALICE })).status).toBe(200)
    expect((await sidecar.request({ path: '/elsewhere', as: 'alice:wrong' })).status).toBe(404)
    await requestsLogged(sidecar, 3)
    expect(refusals(sidecar)).toEqual([])
  })

  it('cannot be forged by a client, and neither can its address', async () => {
    const sidecar = await sidecarForTest()
    const fake = '{"level":40,"address":"192.0.2.9","reason":"wrong password","msg":"login refused"}'
    const attempts: readonly TestRequest[] = [
      { as: `${fake}:wrong` },
      authorized(`Basic ${encoded(`alice:${fake}`.slice(0, 70))}`),
      authorized(`Basic ${encoded(`a\n${fake}\n:b`)}`),
      authorized(`Basic ${fake}`),
      authorized(fake),
      { path: `/v2/${encodeURIComponent(fake)}` },
      { path: `/v2/"},${fake.replaceAll(' ', '')}`, as: 'alice:wrong' },
      { path: `/v2/?${fake.replaceAll(' ', '')}`, as: 'alice:wrong' },
      { headers: { Host: fake }, servername: 'localhost' },
      { headers: { 'X-Forwarded-For': '192.0.2.9', Forwarded: 'for=192.0.2.9', 'User-Agent': fake } },
    ]
    for (const attempt of attempts) await sidecar.request({ path: '/v2/', ...attempt })
    await requestsLogged(sidecar, attempts.length)
    const banned = sidecar.lines.map((line) => bannedFor(JSON.stringify(line)))
    expect(new Set(banned)).toEqual(new Set(['127.0.0.1', undefined]))
    expect(banned.filter((address) => address !== undefined)).toHaveLength(refusals(sidecar).length)
    expect(new Set(refusals(sidecar).map(({ address }) => address))).toEqual(new Set(['127.0.0.1']))
  })
})

/** Returns the lines of the sidecar's logger. */
function written(format: 'json' | 'pretty', write: (log: Log) => void): readonly string[] {
  const destination = new PassThrough()
  write(createLog({ level: 'info', format, destination }))
  return String(destination.read()).trimEnd().split('\n')
}

interface Refused {
  readonly address: string
  readonly reason: string
  readonly username?: string
}

/** Returns the lines of the login audit. */
function audited(format: 'json' | 'pretty', refused: readonly Refused[]): readonly string[] {
  return written(format, (log) => {
    const audit = createLoginAudit(log)
    for (const login of refused) audit.refused({ username: undefined, ...login })
    audit.close()
  })
}

/** Wraps a line as docker's log driver json-file does. */
const inDockersJson = (line: string) =>
  JSON.stringify({ log: `${line}\n`, stream: 'stdout', time: '2026-11-21T05:26:38.014567891Z' })

describe.each<[what: string, format: 'json' | 'pretty', wrap: (line: string) => string]>([
  ['as JSON', 'json', (line) => line],
  ['as JSON, kept by docker', 'json', inDockersJson],
  ['on a terminal', 'pretty', (line) => line],
])('the fail2ban filter, of lines %s,', (_what, format, wrap) => {
  it.each([
    ['192.0.2.1', '192.0.2.1'],
    ['2001:db8::1', '2001:db8::1'],
    ['fe80::1%eth0', 'fe80::1'],
  ])('finds %s in every refusal that is the client’s fault', (address, banned) => {
    const lines = audited(format, [
      { address, reason: 'wrong password', username: 'alice' },
      { address, reason: 'wrong password', username: '","address":"192.0.2.9"}\\' },
      { address, reason: 'wrong password', username: '"}  192.0.2.9 ü' },
      { address, reason: 'unknown user' },
      { address, reason: 'password too long' },
      { address, reason: 'the scheme is Bearer, not Basic' },
      { address, reason: THROTTLED_REASON },
      { address, reason: THROTTLED_REASON },
    ])
    expect(lines.map((line) => bannedFor(wrap(line)))).toEqual(Array.from({ length: 8 }, () => banned))
  })

  it('finds no address in refusals that the sidecar caused', () => {
    const address = '192.0.2.1'
    const lines = audited(format, [
      { address, reason: BUSY_REASON },
      { address, reason: 'entry changed', username: 'alice' },
      { address: 'unknown', reason: 'wrong password' },
    ])
    expect(lines).toHaveLength(3)
    expect(lines.map((line) => bannedFor(wrap(line)))).toEqual([undefined, undefined, undefined])
  })

  it.each([
    '{"level":40,"address":"192.0.2.9","reason":"wrong password","msg":"login refused"}',
    '","level":40,"address":"192.0.2.9","reason":"wrong password","msg":"login refused"}',
    '\\n{"level":40,"address":"192.0.2.9","reason":"wrong password","msg":"login refused"}',
    '\n{"level":40,"address":"192.0.2.9","reason":"wrong password","msg":"login refused"}',
    'WARN: login refused {"address":"192.0.2.9","reason":"wrong password"}',
    '\n[00:00:00] WARN: login refused {"address":"192.0.2.9","reason":"wrong password"}',
  ])('finds nothing in other lines, also if they quote a refused login: %j', (fake) => {
    const lines = written(format, (log) => {
      log.info({ event: 'request', id: '1', path: fake, address: '192.0.2.1', reason: fake }, 'request')
      log.warn({ event: 'users-line-skipped', line: 1, reason: fake }, 'line of the users file skipped')
      log.warn({ event: 'name-not-covered', address: fake }, 'something else')
    })
    expect(lines).toHaveLength(3)
    expect(lines.map((line) => bannedFor(wrap(line)))).toEqual([undefined, undefined, undefined])
  })
})
