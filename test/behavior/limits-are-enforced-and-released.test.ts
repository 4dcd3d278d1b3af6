import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import https from 'node:https'
import net from 'node:net'
import path from 'node:path'
import tls from 'node:tls'
import { hashSync } from 'bcryptjs'
import { describe, expect, it, onTestFinished } from 'vitest'
import { OK, upstreamForTest, type Behavior } from '../fixtures/programmable-upstream.ts'
import { scrape } from '../fixtures/scrape.ts'
import { ALICE, ALICE_ENTRY, sidecarForTest, type TestSidecar } from '../fixtures/sidecar.ts'
import { tempFolder } from '../fixtures/temp-folder.ts'
import { until } from '../fixtures/until.ts'
import { basic, get, openWire } from '../fixtures/wire.ts'

const MIB = 1024 * 1024
const BOB = 'bob:battery staple'
const USERS = `${ALICE_ENTRY}bob:${hashSync('battery staple', 4)}\n`
const BLOB = '/v2/team/app/blobs/sha256:00'
const SOON = { deadlineMs: 20_000 }

/** Never ends a blob, breaks off for /broken, and answers everything else. */
const registry: Behavior = (soFar, socket) => {
  if (soFar.includes('/broken')) socket.destroy()
  else if (soFar.includes('/blobs/sha256')) socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${MIB}\r\n\r\nx`)
  else if (soFar.endsWith('\r\n\r\n')) socket.write(OK)
}

async function sidecarWith(env: Readonly<Record<string, string>>): Promise<TestSidecar> {
  const upstream = await upstreamForTest(registry)
  return sidecarForTest({ upstreamPort: upstream.port, users: USERS, env })
}

/** Begins a pull that does not end. */
async function pull(sidecar: TestSidecar, as = ALICE): Promise<tls.TLSSocket> {
  const socket = await sidecar.connect()
  onTestFinished(() => {
    socket.destroy()
  })
  socket.write(get(BLOB, basic(as)))
  const [first] = (await once(socket, 'data')) as [Buffer]
  expect(first.toString()).toMatch(/^HTTP\/1\.1 200 /)
  return socket
}

/** Resolves to the status of a pull from another address, which does not end. */
function openAnonymousPull({ port, root }: TestSidecar, localAddress: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const request = https.get(
      { host: '127.0.0.1', port, ca: root.pem, localAddress, path: BLOB },
      (response) => {
        resolve(response.statusCode ?? 0)
        response.on('error', () => undefined)
        request.destroy()
      },
    )
    request.on('error', reject)
  })
}

const gauges = async (sidecar: TestSidecar) => {
  const metrics = await scrape(sidecar)
  return ['connections', 'transfers_in_flight', 'requests_in_flight'].map((name) =>
    metrics.get(`registry_sidecar_${name}`),
  )
}
const reached = async (sidecar: TestSidecar, limit: string) =>
  (await scrape(sidecar)).get(`registry_sidecar_limits_reached_total{limit="${limit}"}`)
const logged = ({ lines }: TestSidecar, limit: string) => lines.filter((line) => line['limit'] === limit)

describe('the transfers of one user', () => {
  it('get 503 beyond the limit, while other users and small requests continue', async () => {
    const sidecar = await sidecarWith({ SIDECAR_MAX_TRANSFERS_PER_USER: '2' })
    const [first] = [await pull(sidecar), await pull(sidecar)]
    const refused = await sidecar.request({ as: ALICE, path: BLOB })
    expect([refused.status, refused.headers['retry-after']]).toEqual([503, '5'])
    expect(refused.body.toString()).toContain('"code":"UNAVAILABLE"')
    expect(refused.body.toString()).toContain('too many transfers of this user')
    const put = { as: ALICE, method: 'PATCH', path: '/v2/team/app/blobs/uploads/1', body: 'x' }
    expect((await sidecar.request(put)).status).toBe(503)
    const manifest = await sidecar.request({ as: ALICE, path: '/v2/team/app/manifests/1' })
    expect(manifest.status).toBe(200)
    await pull(sidecar, BOB)
    expect(await reached(sidecar, 'transfers-per-user')).toBe(2)
    expect(logged(sidecar, 'transfers-per-user')).toMatchObject([{ who: 'alice', count: 1, level: 40 }])
    first.destroy()
    await until(async () => (await gauges(sidecar))[1] === 2, { ...SOON, what: 'one has ended' })
    await pull(sidecar)
  })

  it('of anonymous are limited per source, and no user shares that limit', async () => {
    const rules = path.join(tempFolder(), 'access.yaml')
    writeFileSync(rules, 'rules: [{who: [anonymous, "*"], repositories: ["**"], allow: [pull]}]')
    const sidecar = await sidecarWith({ SIDECAR_MAX_TRANSFERS_PER_USER: '2', SIDECAR_ACCESS: rules })
    for (let i = 0; i < 2; i++) {
      const socket = await sidecar.connect()
      onTestFinished(() => {
        socket.destroy()
      })
      socket.write(get(BLOB))
      await once(socket, 'data')
    }
    const refused = await sidecar.request({ path: BLOB })
    expect(refused.status).toBe(503)
    expect(refused.body.toString()).toContain('without a login from this address')
    expect(logged(sidecar, 'transfers-per-user')).toMatchObject([{ who: '127.0.0.1' }])
    await pull(sidecar)
    const elsewhere = await openAnonymousPull(sidecar, '127.0.0.2')
    expect(elsewhere).toBe(200)
  })

  it('limit small requests as well, with the same number', async () => {
    const upstream = await upstreamForTest(() => undefined)
    const sidecar = await sidecarForTest({
      upstreamPort: upstream.port,
      env: { SIDECAR_MAX_TRANSFERS_PER_USER: '1' },
    })
    const waiting = await sidecar.connect()
    onTestFinished(() => {
      waiting.destroy()
    })
    waiting.write(get('/v2/team/app/manifests/1', basic(ALICE)))
    await until(() => upstream.received.length === 1, { ...SOON, what: 'the first is with the registry' })
    expect((await sidecar.request({ as: ALICE, path: '/v2/' })).status).toBe(503)
    expect((await sidecar.request({ as: 'alice:wrong', path: '/v2/' })).status).toBe(401)
  })
})

describe('a client that is too slow', () => {
  it('with its request head is cut, silent or not, counted and logged', async () => {
    const sidecar = await sidecarWith({ SIDECAR_HEADER_TIMEOUT: '300ms' })
    const trickle = await sidecar.connect()
    const head = get('/v2/', `X-Slow: ${'x'.repeat(5_000)}`)
    let sent = 0
    const timer = setInterval(() => trickle.write(head[sent++] ?? ''), 20)
    let answer = ''
    trickle.on('data', (chunk: Buffer) => (answer += chunk.toString()))
    const silent = await sidecar.connect()
    silent.resume()
    await until(() => trickle.closed && silent.closed, { ...SOON, what: 'both are ended' })
    clearInterval(timer)
    expect(answer).toMatch(/^HTTP\/1\.1 408 /)
    expect(await reached(sidecar, 'header-time')).toBe(2)
    expect(logged(sidecar, 'header-time')).toMatchObject([{ setting: 'SIDECAR_HEADER_TIMEOUT' }])
  })

  it('with its handshake is cut, silent or not, counted and logged', async () => {
    const sidecar = await sidecarWith({ SIDECAR_HANDSHAKE_TIMEOUT: '300ms' })
    // The beginning of a TLS record of 512 bytes.
    const hello = Buffer.concat([Buffer.from([22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3]), Buffer.alloc(400)])
    const [silent, trickle] = [net.connect(sidecar.port, '127.0.0.1'), net.connect(sidecar.port, '127.0.0.1')]
    for (const socket of [silent, trickle]) socket.on('error', () => undefined).resume()
    let sent = 0
    const timer = setInterval(() => trickle.write(hello.subarray(sent, ++sent)), 20)
    await until(() => trickle.closed && silent.closed, { ...SOON, what: 'both are ended' })
    clearInterval(timer)
    expect(await reached(sidecar, 'handshake-time')).toBe(2)
    expect(logged(sidecar, 'handshake-time')).toMatchObject([{ setting: 'SIDECAR_HANDSHAKE_TIMEOUT' }])
    await until(async () => (await gauges(sidecar))[0] === 0, { ...SOON, what: 'no connection is counted' })
  })
})

describe('too many connections of one source', () => {
  it('do not end its transfer, and other sources are served', async () => {
    const sidecar = await sidecarWith({ SIDECAR_MAX_CONNECTIONS_PER_SOURCE: '20' })
    const running = await pull(sidecar)
    const flood = Array.from({ length: 300 }, () => net.connect(sidecar.port, '127.0.0.1'))
    onTestFinished(() => {
      for (const socket of flood) socket.destroy()
    })
    for (const socket of flood) socket.on('error', () => undefined).resume()
    await until(async () => (await reached(sidecar, 'connections-per-source')) === 281, {
      ...SOON,
      what: 'the limit is reached by the rest of the flood',
    })
    const answer = await sidecar.request({ as: BOB, path: '/v2/', localAddress: '127.0.0.2' })
    expect(answer.status).toBe(200)
    expect(running.closed).toBe(false)
    expect(logged(sidecar, 'connections-per-source').length).toBeLessThanOrEqual(2)
  })
})

describe('two sources that hold all connections', () => {
  it.each([
    [
      'without a handshake',
      (port: number, localAddress: string) => net.connect({ port, host: '127.0.0.1', localAddress }),
    ],
    [
      'after a handshake',
      (port: number, localAddress: string, ca: string) => {
        const socket = net.connect({ port, host: '127.0.0.1', localAddress }).on('error', () => undefined)
        return tls.connect({ socket, ca, servername: 'localhost' })
      },
    ],
  ])('%s do not block a third source and end no transfer', { timeout: 60_000 }, async (_, open) => {
    const sidecar = await sidecarWith({
      SIDECAR_MAX_CONNECTIONS: '40',
      SIDECAR_MAX_CONNECTIONS_PER_SOURCE: '20',
    })
    const running = await pull(sidecar)
    let isOver = false
    onTestFinished(() => {
      isOver = true
    })
    // Each closed connection is opened again at once.
    const hold = (localAddress: string): void => {
      if (isOver) return
      const socket = open(sidecar.port, localAddress, sidecar.root.pem)
      socket.on('error', () => undefined).resume()
      onTestFinished(() => {
        socket.destroy()
      })
      socket.once('close', () => {
        setTimeout(hold, 5, localAddress)
      })
    }
    for (let i = 0; i < 20; i++) for (const source of ['127.0.0.2', '127.0.0.3']) hold(source)
    await until(async () => (await gauges(sidecar))[0] === 40, { ...SOON, what: 'all connections are taken' })
    const statuses: (number | string)[] = []
    for (let i = 0; i < 25; i++) {
      const login = { as: BOB, path: '/v2/', localAddress: '127.0.0.4' }
      statuses.push(await sidecar.request(login).then(({ status }) => status, String))
    }
    expect(statuses).toEqual(Array(25).fill(200))
    expect(running.closed).toBe(false)
    expect((await gauges(sidecar))[1]).toBe(1)
  })
})

describe('a connection that reached its number of requests', () => {
  it('ends after the last one and ignores pipelined requests behind it', async () => {
    const sidecar = await sidecarWith({ SIDECAR_MAX_REQUESTS_PER_CONNECTION: '2' })
    const socket = await sidecar.connect()
    let text = ''
    socket.on('data', (chunk: Buffer) => (text += chunk.toString()))
    socket.write(get('/v2/', basic(ALICE)).repeat(5))
    await closeOf(socket)
    expect(text.match(/HTTP\/1\.1 200 /g)).toHaveLength(2)
    expect(text.match(/\r\nConnection: close\r\n/g)).toHaveLength(1)
    expect(await reached(sidecar, 'requests-per-connection')).toBe(1)
  })
})

describe('pipelined requests', () => {
  it('beyond the limit get 429 after the earlier answers, and the connection ends', async () => {
    const sidecar = await sidecarWith({})
    const socket = await sidecar.connect()
    let text = ''
    socket.on('data', (chunk: Buffer) => (text += chunk.toString()))
    socket.write(get('/v2/', basic(ALICE)).repeat(40))
    await closeOf(socket)
    expect(text.match(/HTTP\/1\.1 \d+/g)).toEqual([...Array<string>(17).fill('HTTP/1.1 200'), 'HTTP/1.1 429'])
    expect(text).toContain('too many pipelined requests')
    await until(async () => (await gauges(sidecar)).every((value) => value === 0), {
      ...SOON,
      what: 'every count is released',
    })
  })
})

describe('a counted connection or request', () => {
  it('is released however the connection ends', { timeout: 120_000 }, async () => {
    const sidecar = await sidecarWith({ SIDECAR_MAX_TRANSFERS_PER_USER: '5' })
    const ends: readonly (() => Promise<void>)[] = [
      async () => {
        const socket = net.connect(sidecar.port, '127.0.0.1')
        await once(socket, 'connect')
        socket.destroy()
      },
      async () => {
        const socket = net
          .connect(sidecar.port, '127.0.0.1')
          .on('error', () => undefined)
          .resume()
        socket.end('GET /v2/ HTTP/1.1\r\n\r\n')
        await closeOf(socket)
      },
      () => cutAfter(sidecar, ''),
      () => cutAfter(sidecar, 'GET /v2/ HT'),
      () => cutAfter(sidecar, get('/v2/')),
      // Cut while its password is being checked.
      () => cutAfter(sidecar, get('/v2/', basic('alice:another'))),
      () => cutAfter(sidecar, get('/v2/', basic(ALICE))),
      () => cutAfter(sidecar, get(BLOB, basic(ALICE))),
      () => cutAfter(sidecar, get(BLOB, basic(ALICE)).repeat(10)),
      () => cutAfter(sidecar, get('/v2/broken', basic(ALICE)).repeat(3)),
      () => cutAfter(sidecar, upload('x')),
      () => cutAfter(sidecar, upload('x'.repeat(100))),
      () => cutAfter(sidecar, upload('').replace('/v2/', '/v2/broken/')),
      async () => {
        const { status } = await sidecar.request({ as: ALICE, path: '/v2/broken' })
        expect([502, 503]).toContain(status)
      },
    ]
    for (let round = 0; round < 12; round++) await Promise.all(ends.map((end) => end()))
    await until(async () => (await gauges(sidecar)).every((value) => value === 0), {
      deadlineMs: 20_000,
      what: 'every count is released',
    })
    const wire = await openWire(sidecar)
    expect(await wire.send(get('/v2/', basic(ALICE)))).toMatch(/^HTTP\/1\.1 200 /)
  })
})

function upload(body: string): string {
  return (
    get('/v2/team/app/blobs/uploads/1', basic(ALICE), 'Content-Length: 100').replace('GET', 'PATCH') + body
  )
}

/** Unlike `once`, also resolves if the connection ends with an error. */
async function closeOf(socket: net.Socket): Promise<void> {
  await new Promise((resolve) => socket.once('close', resolve))
}

// The moment of a cut is random; the sidecar must survive every one.
let cuts = 0

async function cutAfter(sidecar: TestSidecar, bytes: string): Promise<void> {
  const socket = await sidecar.connect()
  socket.resume()
  if (bytes !== '') socket.write(bytes)
  cuts += 1
  for (let turns = (cuts * 7) % 12; turns > 0; turns--) await new Promise((resolve) => setImmediate(resolve))
  if (!socket.closed) {
    socket.destroy()
    await closeOf(socket)
  }
}
