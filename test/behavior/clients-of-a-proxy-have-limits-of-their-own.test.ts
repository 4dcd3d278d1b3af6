import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import path from 'node:path'
import tls, { type TLSSocket } from 'node:tls'
import { hashSync } from 'bcryptjs'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import {
  answering,
  OK,
  startUpstream,
  upstreamForTest,
  type ProgrammableUpstream,
} from '../fixtures/programmable-upstream.ts'
import {
  ALICE,
  ALICE_ENTRY,
  sidecarForTest,
  startSidecar,
  type TestResponse,
  type TestSidecar,
} from '../fixtures/sidecar.ts'
import { scrape } from '../fixtures/scrape.ts'
import { tempFolder } from '../fixtures/temp-folder.ts'
import { until } from '../fixtures/until.ts'
import { basic, createWire, get, openWire } from '../fixtures/wire.ts'

const SOON = { deadlineMs: 10_000 }
const PROXY = '127.0.0.1'
const ELSEWHERE = '127.0.0.2'
const BOB = 'bob:battery staple'
const USERS = `${ALICE_ENTRY}bob:${hashSync('battery staple', 4)}\n`
const from = (...hops: readonly string[]) => `X-Forwarded-For: ${hops.join(', ')}`

let upstream: ProgrammableUpstream
beforeAll(async () => {
  upstream = await startUpstream(answering(OK))
})
afterAll(() => {
  upstream.stop()
})

const sidecarWith = (env: Readonly<Record<string, string>> = {}, upstreamPort = upstream.port) =>
  sidecarForTest({ upstreamPort, users: USERS, env: { SIDECAR_TRUSTED_PROXIES: PROXY, ...env } })
const statusOf = (answer: string) => answer.slice(9, 12)

describe('the address of a request', () => {
  let sidecar: TestSidecar
  beforeAll(async () => {
    sidecar = await startSidecar({
      upstreamPort: upstream.port,
      users: USERS,
      env: { SIDECAR_TRUSTED_PROXIES: `${PROXY},10.0.0.0/8`, SIDECAR_AUDIT: 'off' },
    })
  })
  afterAll(() => sidecar.stop())

  async function connectFrom(localAddress: string): Promise<TLSSocket> {
    const { port, root } = sidecar
    const socket = tls.connect({
      port,
      ca: root.pem,
      host: '127.0.0.1',
      localAddress,
    } as tls.ConnectionOptions)
    onTestFinished(() => void socket.destroy())
    await once(socket, 'secureConnect')
    return socket
  }

  /** Sends a request with these lines, and returns what log and registry say of it. */
  async function addressesOf(lines: readonly string[], localAddress = PROXY): Promise<readonly unknown[]> {
    const before = upstream.received.join('').length
    const target = `/v2/team/${before}/tags/list`
    const socket = await connectFrom(localAddress)
    expect(statusOf(await createWire(socket).send(get(target, basic(ALICE), ...lines)))).toBe('200')
    const line = () => sidecar.lines.find((each) => each['event'] === 'request' && each['path'] === target)
    await until(() => line() !== undefined, { ...SOON, what: 'a log line' })
    const forwarded = upstream.received.join('').slice(before)
    return [line()?.['address'], ...(forwarded.match(/(?<=^x-forwarded-for: ).*$/gim) ?? [])]
  }

  it.each([
    ['the last hop', [from('192.0.2.1')], '192.0.2.1'],
    ['the last hop before trusted ones', [from('203.0.113.9', '192.0.2.1', '10.1.2.3')], '192.0.2.1'],
    ['that of several headers', [from('203.0.113.9'), from('192.0.2.1'), from('10.1.2.3')], '192.0.2.1'],
    ['IPv6 with a port', [from('[2001:db8::1]:4711')], '2001:db8::1'],
    ['the proxy, without the header', [], PROXY],
    ['the proxy, if the last entry is malformed', [from('192.0.2.1', 'unknown')], PROXY],
    ['bounded, in a long list', [from(...Array.from({ length: 700 }, () => '10.0.0.1'))], '10.0.0.1'],
  ])('is %s', async (_what, lines, address) => {
    expect(await addressesOf(lines)).toEqual([address, address])
  })

  it('is that of the connection, if it does not come from a proxy', async () => {
    expect(await addressesOf([from('192.0.2.1')], ELSEWHERE)).toEqual([ELSEWHERE, ELSEWHERE])
  })

  it('is never taken from other headers, and none of them reaches the registry', async () => {
    const others = [
      'Forwarded: for=192.0.2.9',
      'X-Real-IP: 192.0.2.9',
      'X-Forwarded-User: root',
      'Via: 1.1 x',
    ]
    expect(await addressesOf(others)).toEqual([PROXY, PROXY])
    expect(upstream.received.join('')).not.toMatch(/192\.0\.2\.9|user: root|^via:/im)
  })
})

describe('clients on one connection of a proxy', () => {
  it('are throttled alone', async () => {
    const sidecar = await sidecarWith({ SIDECAR_THROTTLE: '2/1m' })
    const wire = await openWire(sidecar)
    const ask = async (login: string, ...lines: readonly string[]) =>
      statusOf(await wire.send(get('/v2/', basic(login), ...lines)))
    for (const status of ['401', '401', '429'])
      expect(await ask('alice:wrong', from('192.0.2.1'))).toBe(status)
    expect(await ask(ALICE, from('192.0.2.1'))).toBe('429')
    // Its other addresses, and what the attacker writes before its address, change nothing.
    expect(await ask(ALICE, from('192.0.2.2', '192.0.2.1'))).toBe('429')
    expect(await ask(ALICE, from('192.0.2.2'))).toBe('200')
    expect(await ask(BOB, from('2001:db8::1'))).toBe('200')
    const refused = sidecar.lines.filter(({ event }) => event === 'login-refused')
    expect(new Set(refused.map(({ address }) => address))).toEqual(new Set(['192.0.2.1']))
  })

  it('share no remembered login', async () => {
    const sidecar = await sidecarWith()
    const wire = await openWire(sidecar)
    for (const address of ['192.0.2.1', '192.0.2.1', '192.0.2.2', '192.0.2.1'])
      await wire.send(get('/v2/', basic(ALICE), from(address)))
    await until(() => sidecar.lines.filter(({ event }) => event === 'request').length === 4, {
      ...SOON,
      what: '4',
    })
    const metrics = await scrape(sidecar)
    expect(metrics.get('registry_sidecar_logins_accepted_total{kind="verified"}')).toBe(2)
    expect(metrics.get('registry_sidecar_logins_accepted_total{kind="remembered"}')).toBe(2)
  })

  it('have transfers without a login of their own', async () => {
    const rules = path.join(tempFolder(), 'access.yaml')
    writeFileSync(rules, 'rules: [{who: [anonymous, "*"], repositories: ["**"], allow: [pull]}]')
    const silent = await upstreamForTest(() => undefined)
    const sidecar = await sidecarWith(
      { SIDECAR_MAX_TRANSFERS_PER_USER: '1', SIDECAR_ACCESS: rules },
      silent.port,
    )
    const pull = get('/v2/team/app/manifests/1', from('192.0.2.1'))
    const [first, second] = [await sidecar.connect(), await openWire(sidecar)]
    onTestFinished(() => {
      first.destroy()
    })
    first.write(pull)
    await until(() => silent.received.length === 1, { ...SOON, what: 'the first pull' })
    expect(statusOf(await second.send(pull))).toBe('503')
    const other = await sidecar.connect()
    onTestFinished(() => {
      other.destroy()
    })
    other.write(pull.replace('192.0.2.1', '192.0.2.2'))
    await until(() => silent.received.length === 2, { ...SOON, what: 'the pull of the other client' })
    expect(sidecar.lines.find(({ limit }) => limit === 'transfers-per-user')).toMatchObject({
      who: '192.0.2.1',
    })
  })

  it(
    'are answered when too many guesses wait, so that the proxy keeps the sidecar',
    { timeout: 120_000 },
    async () => {
      const sidecar = await sidecarWith({ SIDECAR_THROTTLE: '2/1m' })
      const guess = async (i: number): Promise<string> => {
        const wire = await openWire(sidecar)
        return statusOf(await wire.send(get('/v2/', basic(`alice:wrong ${i}`), from('192.0.2.1'))))
      }
      const statuses = await Promise.all(Array.from({ length: 180 }, (_, i) => guess(i)))
      expect(new Set(statuses)).toEqual(new Set(['401', '429']))
      const reasons = new Set(sidecar.lines.map(({ reason }) => reason))
      expect(reasons).toContain('too many logins waiting after failed ones')
    },
  )
})

it('a proxy may open more connections than one source, and others may not', async () => {
  const sidecar = await sidecarWith({ SIDECAR_MAX_CONNECTIONS_PER_SOURCE: '2' })
  const sockets = await Promise.all(Array.from({ length: 6 }, () => sidecar.connect()))
  for (const socket of sockets) onTestFinished(() => void socket.destroy())
  const answers = await Promise.all(
    sockets.map((socket) => createWire(socket).send(get('/v2/', basic(ALICE)))),
  )
  expect(answers.map(statusOf)).toEqual(Array(6).fill('200'))
  const direct = (): Promise<TestResponse> =>
    sidecar.request({ as: ALICE, path: '/v2/', localAddress: ELSEWHERE })
  expect((await direct()).status).toBe(200)
  expect(sidecar.lines.filter(({ event }) => event === 'limit-reached')).toEqual([])
})

it('names that clients of a proxy use are not expected in the leaf', async () => {
  const sidecar = await sidecarWith()
  const wire = await openWire(sidecar)
  await wire.send(
    get('/v2/', basic(ALICE), from('192.0.2.1')).replace('Host: localhost', 'Host: public.example'),
  )
  await sidecar.request({
    as: ALICE,
    path: '/v2/',
    localAddress: ELSEWHERE,
    servername: 'localhost',
    headers: { Host: 'direct.example' },
  })
  const names = sidecar.lines.filter(({ event }) => event === 'name-not-covered').map(({ name }) => name)
  expect(names).toEqual(['direct.example'])
})
