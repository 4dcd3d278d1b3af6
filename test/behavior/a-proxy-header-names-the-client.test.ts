import { once } from 'node:events'
import type { Socket } from 'node:net'
import { Duplex } from 'node:stream'
import tls, { type TLSSocket } from 'node:tls'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { answering, OK, startUpstream, type ProgrammableUpstream } from '../fixtures/programmable-upstream.ts'
import {
  connectBehind,
  connectTcp,
  v1,
  v2,
  V2_LOCAL,
  V2_SIGNATURE,
  v2Ipv4,
  v2Ipv6,
} from '../fixtures/proxy-headers.ts'
import { scrape } from '../fixtures/scrape.ts'
import { ALICE, sidecarForTest, startSidecar, type TestSidecar } from '../fixtures/sidecar.ts'
import { until } from '../fixtures/until.ts'
import { basic, createWire, get } from '../fixtures/wire.ts'

const SOON = { deadlineMs: 10_000 }
const PROXY = '127.0.0.1'
const ELSEWHERE = '127.0.0.2'
const REQUEST = get('/v2/', basic(ALICE))

const ENV = { SIDECAR_TRUSTED_PROXIES: PROXY, SIDECAR_PROXY_PROTOCOL: 'on' }

let upstream: ProgrammableUpstream
/** For tests that change no setting. */
let shared: TestSidecar

beforeAll(async () => {
  upstream = await startUpstream(answering(OK))
  shared = await startSidecar({ upstreamPort: upstream.port, env: ENV })
})
afterAll(async () => {
  await shared.stop()
  upstream.stop()
})

const sidecarWith = (env: Readonly<Record<string, string>> = {}) =>
  sidecarForTest({ upstreamPort: upstream.port, env: { ...ENV, ...env } })
const received = () => upstream.received.join('')
const isClosed = (socket: Socket) =>
  until(() => socket.resume().closed, { ...SOON, what: 'the connection is closed' })

async function refusals(sidecar: TestSidecar): Promise<ReadonlyMap<string, number>> {
  const counts = [...(await scrape(sidecar))].flatMap(([key, value]) => {
    const limit = /^registry_sidecar_limits_reached_total\{limit="(proxy-.*)"\}$/.exec(key)?.[1]
    return limit === undefined ? [] : [[limit, value] as const]
  })
  return new Map(counts)
}

/** Counts what the function causes. */
async function refusedBy(sidecar: TestSidecar, cause: () => Promise<void>): Promise<Record<string, number>> {
  const before = await refusals(sidecar)
  await cause()
  const changes = [...(await refusals(sidecar))].map(([limit, count]) => [
    limit,
    count - (before.get(limit) ?? 0),
  ])
  return Object.fromEntries(changes.filter(([, count]) => count !== 0)) as Record<string, number>
}

let paths = 0
/** Sends a request of alice, and returns its log line. */
async function ask(socket: TLSSocket, ...lines: readonly string[]): Promise<Record<string, unknown>> {
  const path = `/v2/team/${++paths}/tags/list`
  expect(await createWire(socket).send(get(path, basic(ALICE), ...lines))).toMatch(/^HTTP\/1\.1 200 /)
  const line = () => shared.lines.find((each) => each['event'] === 'request' && each['path'] === path)
  await until(() => line() !== undefined, { ...SOON, what: 'a log line' })
  return line() ?? {}
}

const forwardedFor = () =>
  received()
    .match(/(?<=^x-forwarded-for: ).*$/gim)
    ?.at(-1)

describe('a connection behind a PROXY header', () => {
  it.each([
    ['version 1', v1('192.0.2.1'), '192.0.2.1'],
    ['version 1 with IPv6', v1('2001:db8::1', '2001:db8::2'), '2001:db8::1'],
    ['version 1 UNKNOWN', Buffer.from('PROXY UNKNOWN\r\n'), PROXY],
    ['version 2', v2Ipv4('192.0.2.1'), '192.0.2.1'],
    ['version 2 with IPv4 in IPv6', v2Ipv6('00000000000000000000ffffc0000201'), '192.0.2.1'],
    ['version 2 with extensions', v2Ipv4('192.0.2.1', Buffer.alloc(2_000, 4)), '192.0.2.1'],
    ['version 2 LOCAL', V2_LOCAL, PROXY],
  ])(
    'of %s has the address of the client in the log and for the registry',
    async (_what, header, address) => {
      expect(await ask(await connectBehind(shared, header))).toMatchObject({ address, user: 'alice' })
      expect(forwardedFor()).toBe(address)
    },
  )

  it.each([
    ['version 1 UNKNOWN', Buffer.from('PROXY UNKNOWN\r\n')],
    ['version 2 LOCAL', V2_LOCAL],
  ])('of %s believes no X-Forwarded-For, because the client may have written it', async (_what, header) => {
    const socket = await connectBehind(shared, header)
    expect(await ask(socket, 'X-Forwarded-For: 192.0.2.9')).toMatchObject({ address: PROXY })
  })

  it.each([
    ['version 1', v1('192.0.2.1')],
    ['version 2', v2Ipv4('192.0.2.1', Buffer.alloc(100, 4))],
  ])('of %s works if the header arrives in single bytes', async (_what, header) => {
    const pieces = Array.from(header, (byte) => Buffer.from([byte]))
    expect(await ask(await connectBehind(shared, ...pieces))).toMatchObject({ address: '192.0.2.1' })
  })

  it.each([
    ['version 1', v1('192.0.2.1')],
    ['version 2', v2Ipv4('192.0.2.1', Buffer.alloc(3_000, 4))],
  ])('of %s works if the header and the first bytes of TLS arrive together', async (_what, header) => {
    const tcp = await connectTcp(shared)
    let start = header
    const together = new Duplex({
      read: () => undefined,
      write(chunk: Buffer, _encoding, done) {
        tcp.write(Buffer.concat([start, chunk]), done)
        start = Buffer.alloc(0)
      },
    })
    tcp.on('data', (chunk) => together.push(chunk))
    const socket = tls.connect({ socket: together, ca: shared.root.pem, servername: 'localhost' })
    await once(socket, 'secureConnect')
    expect(await ask(socket)).toMatchObject({ address: '192.0.2.1' })
  })

  it('ignores X-Forwarded-For of its client, and forwards nothing of it', async () => {
    const socket = await connectBehind(shared, v1('192.0.2.1'))
    const forged = ['X-Forwarded-For: 203.0.113.9', 'Forwarded: for=203.0.113.9']
    expect(await ask(socket, ...forged)).toMatchObject({ address: '192.0.2.1' })
    expect(forwardedFor()).toBe('192.0.2.1')
    expect(received()).not.toContain('203.0.113.9')
  })

  it('reports the address that the client connected to, if the leaf lacks it', async () => {
    const sidecar = await sidecarWith()
    const tcp = await connectTcp(sidecar)
    tcp.write(v1('192.0.2.1', '192.0.2.254'))
    const { pem: ca } = sidecar.root
    // Without a server name, as clients of an address connect.
    const socket = tls.connect({ socket: tcp, ca, checkServerIdentity: () => undefined })
    await once(socket, 'secureConnect')
    const line = () => sidecar.lines.find(({ event }) => event === 'name-not-covered')
    await until(() => line() !== undefined, { ...SOON, what: 'a log line' })
    expect(line()).toMatchObject({ name: '192.0.2.254', address: '192.0.2.1' })
  })
})

describe('a connection is closed and counted', () => {
  const HELLO = Buffer.from('1603010200010001fc0303', 'hex')
  it.each([
    ['that comes from elsewhere', ELSEWHERE, v1('192.0.2.1'), 'proxy-peer'],
    ['that comes from elsewhere without a header', ELSEWHERE, HELLO, 'proxy-peer'],
    ['with TLS in place of the header', PROXY, HELLO, 'proxy-header-missing'],
    ['with HTTP in place of the header', PROXY, Buffer.from(REQUEST), 'proxy-header-missing'],
    ['with a malformed header', PROXY, Buffer.from('PROXY TCP4 a b 1 2\r\n'), 'proxy-header-malformed'],
    [
      'with too long a line',
      PROXY,
      Buffer.from(`PROXY UNKNOWN ${'x'.repeat(200)}`),
      'proxy-header-malformed',
    ],
    ['with too long a header', PROXY, v2Ipv4('192.0.2.1', Buffer.alloc(60_000)), 'proxy-header-malformed'],
  ])('%s', async (_what, from, bytes, limit) => {
    const refused = await refusedBy(shared, async () => {
      const socket = await connectTcp(shared, from)
      socket.write(bytes)
      await isClosed(socket)
    })
    expect(refused).toEqual({ [limit]: 1 })
    const lines = shared.lines.filter((line) => line['limit'] === limit)
    expect(lines[0]).toMatchObject({ event: 'proxy-header-refused', who: from, level: 40 })
  })

  it('whose header ends too early', async () => {
    const refused = await refusedBy(shared, async () => {
      const socket = await connectTcp(shared)
      socket.end('PROXY TCP4')
      await isClosed(socket)
    })
    expect(refused).toEqual({ 'proxy-header-malformed': 1 })
  })

  it('whose header arrives too slowly, even if bytes arrive all the time', async () => {
    const sidecar = await sidecarWith({ SIDECAR_HANDSHAKE_TIMEOUT: '500ms' })
    const [silent, slow] = [await connectTcp(sidecar), await connectTcp(sidecar)]
    let sent = 0
    const dripping = setInterval(() => slow.write(V2_SIGNATURE.subarray(sent, ++sent)), 50)
    onTestFinished(() => {
      clearInterval(dripping)
    })
    await Promise.all([isClosed(silent), isClosed(slow)])
    expect((await refusals(sidecar)).get('proxy-header-time')).toBe(2)
  })

  it('with a second header, which TLS refuses', async () => {
    const smuggled = Buffer.concat([v1('192.0.2.1'), v1('203.0.113.9')])
    await expect(connectBehind(shared, smuggled)).rejects.toThrow()
  })

  it('but a proxy that only checks the port is not', async () => {
    const sidecar = await sidecarWith()
    const ended = await connectTcp(sidecar)
    ended.end()
    await isClosed(ended)
    const reset = await connectTcp(sidecar)
    reset.resetAndDestroy()
    await until(async () => (await scrape(sidecar)).get('registry_sidecar_connections') === 0, {
      ...SOON,
      what: 'no connection is left',
    })
    expect([...(await refusals(sidecar)).values()]).toEqual([0, 0, 0, 0])
    expect(sidecar.lines.filter(({ event }) => event === 'proxy-header-refused')).toEqual([])
  })

  it('and a flood of them causes few log lines', async () => {
    const sidecar = await sidecarWith()
    for (let i = 0; i < 50; i += 1) {
      const socket = await connectTcp(sidecar, ELSEWHERE)
      await isClosed(socket)
    }
    expect((await refusals(sidecar)).get('proxy-peer')).toBe(50)
    expect(sidecar.lines.filter(({ event }) => event === 'proxy-header-refused')).toHaveLength(1)
  })
})

describe('the limits of connections', () => {
  it('count each client, not the proxy', async () => {
    const sidecar = await sidecarWith({ SIDECAR_MAX_CONNECTIONS_PER_SOURCE: '2' })
    const others = await Promise.all([2, 3, 4, 5].map((n) => connectBehind(sidecar, v1(`192.0.2.${n}`))))
    const [first] = [
      await connectBehind(sidecar, v1('192.0.2.1')),
      await connectBehind(sidecar, v1('192.0.2.1')),
    ]
    expect(await createWire(await connectBehind(sidecar, v1('192.0.2.1'))).send(REQUEST)).toContain('200 OK')
    await isClosed(first)
    expect(others.map(({ closed }) => closed)).toEqual([false, false, false, false])
    expect(sidecar.lines.find(({ limit }) => limit === 'connections-per-source')).toMatchObject({
      who: '192.0.2.1',
    })
  })

  it('bound the connections whose header has not arrived, and these keep no client out', async () => {
    const sidecar = await sidecarWith({ SIDECAR_MAX_CONNECTIONS: '4' })
    const silent: Socket[] = []
    for (let i = 0; i < 10; i += 1) silent.push((await connectTcp(sidecar)).resume())
    await until(() => silent.filter(({ closed }) => closed).length === 6, { ...SOON, what: '4 are left' })
    expect(await createWire(await connectBehind(sidecar, v1('192.0.2.1'))).send(REQUEST)).toContain('200 OK')
    expect((await scrape(sidecar)).get('registry_sidecar_connections')).toBeLessThanOrEqual(4)
  })

  it('throttle the client alone', async () => {
    const sidecar = await sidecarWith({ SIDECAR_THROTTLE: '2/1m' })
    const statusOf = async (from: string, login: string) =>
      (await createWire(await connectBehind(sidecar, v1(from))).send(get('/v2/', basic(login)))).slice(9, 12)
    for (const status of ['401', '401', '429'])
      expect(await statusOf('192.0.2.1', 'alice:wrong')).toBe(status)
    expect(await statusOf('192.0.2.1', ALICE)).toBe('429')
    expect(await statusOf('192.0.2.2', ALICE)).toBe('200')
    expect(sidecar.lines.find(({ event }) => event === 'login-refused')).toMatchObject({
      address: '192.0.2.1',
    })
  })
})

it('a stop does not wait for headers', async () => {
  const sidecar = await sidecarWith()
  const socket = await connectTcp(sidecar)
  socket.write(v2({ body: Buffer.alloc(0), length: 12 }))
  const begun = performance.now()
  await sidecar.stop()
  await isClosed(socket)
  expect(performance.now() - begun).toBeLessThan(5_000)
})
