// Tests each reproduced hole of http-proxy 1.18.1, which nobody maintains.

import { once } from 'node:events'
import http from 'node:http'
import https from 'node:https'
import type { Socket } from 'node:net'
import { hashSync } from 'bcryptjs'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { frontBefore } from '../fixtures/front.ts'
import {
  answering,
  OK,
  startUpstream,
  upstreamForTest,
  type Behavior,
  type ProgrammableUpstream,
} from '../fixtures/programmable-upstream.ts'
import { ALICE, ALICE_ENTRY, sidecarForTest, startSidecar, type TestSidecar } from '../fixtures/sidecar.ts'
import { until } from '../fixtures/until.ts'

const BASIC = `Authorization: Basic ${Buffer.from(ALICE).toString('base64')}`
const GET = `GET /v2/x HTTP/1.1\r\nHost: localhost\r\n${BASIC}\r\n\r\n`

const NAMES = ['jörg', '李', 'Ünal 2']
const nothing: Behavior = () => undefined

// Most tests share a sidecar, and its upstream behaves as the present test says.
const shared = { behave: nothing, sockets: new Set<Socket>() }
let sidecar: TestSidecar
let sharedUpstream: ProgrammableUpstream

beforeAll(async () => {
  sharedUpstream = await startUpstream((soFar, socket, connection) => {
    shared.sockets.add(socket)
    shared.behave(soFar, socket, connection)
  })
  const users = ALICE_ENTRY + NAMES.map((name) => `${name}:${hashSync('pass', 4)}\n`).join('')
  sidecar = await startSidecar({ upstreamPort: sharedUpstream.port, users })
})

afterAll(async () => {
  await sidecar.stop()
  sharedUpstream.stop()
})

/** Sets the behavior of the shared upstream. The next test finds no connection of this one. */
function upstreamThat(behave: Behavior): Pick<ProgrammableUpstream, 'received' | 'open'> {
  const first = sharedUpstream.received.length
  shared.behave = behave
  onTestFinished(async () => {
    shared.behave = nothing
    for (const socket of shared.sockets) socket.destroy()
    shared.sockets.clear()
    await until(() => sharedUpstream.open === 0, { deadlineMs: 5_000, what: 'the end of all connections' })
  })
  return {
    get received() {
      return sharedUpstream.received.slice(first)
    },
    get open() {
      return sharedUpstream.open
    },
  }
}

/** Sends bytes on a verified connection, and records the answer and the close. */
async function converse(sidecar: TestSidecar, bytes: string) {
  const socket = await sidecar.connect()
  const talk = { socket, answer: '', isClosed: false }
  socket.on('data', (chunk: Buffer) => (talk.answer += chunk.toString('latin1')))
  socket.on('close', () => (talk.isClosed = true))
  socket.write(bytes)
  return talk
}

describe('a body on a method that has none', () => {
  it.each(['DELETE', 'OPTIONS'])(
    'stays the body of the chunked %s, even if nothing refuses it before',
    async (method) => {
      const upstream = await upstreamForTest((soFar, socket) => {
        if (soFar.endsWith('0\r\n\r\n')) socket.write(OK)
      })
      const { port } = await frontBefore(upstream.port)
      const request = http.request({
        port,
        method,
        path: '/v2/x',
        headers: { 'Transfer-Encoding': 'chunked' },
      })
      request.end('GET /v2/smuggled HTTP/1.1\r\n\r\n')
      await once(request, 'response')
      expect(upstream.received.join('')).toMatch(/transfer-encoding: chunked/i)
      expect(upstream.received.join('')).not.toMatch(/content-length/i)
    },
  )

  it.each(['content-length', 'transfer-encoding', 'host', 'range'])(
    'does not come from a Connection header that lists %s',
    async (name) => {
      const upstream = upstreamThat((soFar, socket) => {
        if (/\r\n\r\n(hello|5\r\nhello\r\n0\r\n\r\n)$/.test(soFar)) socket.write(OK)
      })
      const isChunked = name === 'transfer-encoding'
      const body = isChunked ? '5\r\nhello\r\n0\r\n\r\n' : 'hello'
      const framing = isChunked ? 'Transfer-Encoding: chunked' : 'Content-Length: 5'
      const talk = await converse(
        sidecar,
        `PUT /v2/x HTTP/1.1\r\nHost: localhost\r\n${BASIC}\r\n${framing}\r\nRange: bytes=0-\r\nConnection: ${name}\r\n\r\n${body}`,
      )
      await until(() => talk.answer.endsWith('ok'), { deadlineMs: 5_000, what: 'an answer' })
      expect(talk.answer).toContain('200 OK')
      for (const kept of ['host: localhost', 'range: bytes=0-', framing]) {
        expect(upstream.received[0]?.toLowerCase()).toContain(kept.toLowerCase())
      }
      talk.socket.destroy()
    },
  )
})

describe('an upstream that misbehaves', () => {
  const PROMISED = 'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf'

  it.each([
    ['ends', (socket: Socket) => socket.end(PROMISED)],
    [
      'resets',
      (socket: Socket) => socket.write(PROMISED, () => setTimeout(() => socket.resetAndDestroy(), 50)),
    ],
    [
      'ends a chunked one',
      (socket: Socket) => socket.end('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n'),
    ],
  ])('and %s in the body makes the connection break off too', async (_what, act) => {
    upstreamThat((soFar, socket) => {
      if (soFar.endsWith('\r\n\r\n')) act(socket)
    })
    const logged = sidecar.lines.length
    const talk = await converse(sidecar, GET)
    await until(() => talk.isClosed, { deadlineMs: 5_000, what: 'the end of the connection' })
    expect(talk.answer).toContain('half')
    expect(talk.answer).not.toMatch(/half[^]*0\r\n\r\n/)
    expect(talk.answer.match(/HTTP\/1\.1/g)).toHaveLength(1)
    await until(() => sidecar.lines.slice(logged).some(({ cut }) => cut === true), {
      deadlineMs: 2_000,
      what: 'the log line',
    })
  })

  it('and stalls in the body is cut after the idle timeout', async () => {
    const upstream = await upstreamForTest(answering(PROMISED))
    const sidecar = await sidecarForTest({
      upstreamPort: upstream.port,
      // Longer than the steps before the answer take.
      env: { SIDECAR_IDLE_TIMEOUT: '3s' },
    })
    const talk = await converse(sidecar, GET)
    await until(() => talk.isClosed, { deadlineMs: 20_000, what: 'the end of the connection' })
    expect(talk.answer).toContain('half')
    await until(() => upstream.open === 0, { deadlineMs: 5_000, what: 'the end of the upstream connection' })
  })

  it.each([
    [
      'switches protocols unasked',
      'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n',
    ],
    ['sends no HTTP', 'SSH-2.0-OpenSSH\r\n'],
    ['sends a head without end', `HTTP/1.1 200 OK\r\nX: ${'x'.repeat(100_000)}`],
  ])('and %s causes a 502', async (_what, bytes) => {
    upstreamThat((_soFar, socket) => socket.write(bytes))
    const { status, body } = await sidecar.request({ as: ALICE, path: '/v2/x' })
    expect(status).toBe(502)
    expect(body.toString()).toContain('"code":"UNAVAILABLE"')
  })

  it('and closes without an answer causes a 502', async () => {
    upstreamThat((_soFar, socket) => socket.end())
    expect((await sidecar.request({ as: ALICE, path: '/v2/x' })).status).toBe(502)
  })

  it('and cannot be reached causes a 502', async () => {
    const sidecar = await sidecarForTest({ upstreamPort: 1 })
    const { status } = await sidecar.request({ as: ALICE, path: '/v2/x' })
    expect(status).toBe(502)
    await until(() => sidecar.lines.some(({ reason }) => reason === 'unreachable: ECONNREFUSED'), {
      deadlineMs: 2_000,
      what: 'the cause in the log',
    })
  })

  it('and never answers causes a 504 after the response timeout', async () => {
    const upstream = await upstreamForTest(() => undefined)
    const sidecar = await sidecarForTest({
      upstreamPort: upstream.port,
      env: { SIDECAR_RESPONSE_TIMEOUT: '300ms' },
    })
    const { status } = await sidecar.request({ as: ALICE, path: '/v2/x' })
    expect(status).toBe(504)
    await until(() => upstream.open === 0, { deadlineMs: 2_000, what: 'the end of the upstream connection' })
  })
})

describe('a client that leaves', () => {
  it.each([
    ['before the answer', () => undefined],
    ['during the download', answering('HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nbeginning')],
  ])('%s closes its upstream connection', async (_when, behave) => {
    const upstream = upstreamThat(behave)
    const talk = await converse(sidecar, GET)
    await until(() => upstream.received.join('').includes('GET'), { deadlineMs: 5_000, what: 'the request' })
    talk.socket.destroy()
    await until(() => upstream.open === 0, { deadlineMs: 5_000, what: 'the end of the upstream connection' })
  })

  it('during a chunked upload never makes the upload look complete', async () => {
    const upstream = upstreamThat(() => undefined)
    const talk = await converse(
      sidecar,
      `PATCH /v2/x HTTP/1.1\r\nHost: localhost\r\n${BASIC}\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n`,
    )
    await until(() => upstream.received.join('').includes('hello'), {
      deadlineMs: 5_000,
      what: 'the first chunk',
    })
    talk.socket.destroy()
    await until(() => upstream.open === 0, { deadlineMs: 5_000, what: 'the end of the upstream connection' })
    expect(upstream.received.join('')).not.toContain('0\r\n\r\n')
  })
})

describe('connections to the upstream', () => {
  it('are kept, even if the client closes its connection', async () => {
    const upstream = await upstreamForTest(answering(OK))
    const sidecar = await sidecarForTest({ upstreamPort: upstream.port })
    for (let i = 0; i < 3; i++) {
      const { rawHeaders } = await sidecar.request({
        as: ALICE,
        path: '/v2/x',
        headers: { Connection: 'close' },
      })
      expect(rawHeaders).toContain('close')
    }
    expect(upstream.received).toHaveLength(1)
    expect(upstream.received[0]).not.toMatch(/connection: close/i)
  })

  it("do not forward the upstream's Connection header", async () => {
    upstreamThat(
      answering('HTTP/1.1 200 OK\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\nContent-Length: 2\r\n\r\nok'),
    )
    const agent = new https.Agent({ keepAlive: true })
    const { headers } = await sidecar.request({ agent, as: ALICE, path: '/v2/x' })
    agent.destroy()
    expect(headers.connection).toBe('keep-alive')
    expect(headers['x-hop']).toBeUndefined()
  })

  it('are replaced once for GET and HEAD if they are stale, and not used for PUT', async () => {
    // Each connection serves one request and is reset at the next one.
    const upstream = await upstreamForTest((soFar, socket) => {
      const heads = soFar.split('\r\n\r\n').length - 1
      if (heads === 1) socket.write(OK)
      else if (heads > 1) socket.resetAndDestroy()
    })
    const sidecar = await sidecarForTest({ upstreamPort: upstream.port })
    for (let i = 0; i < 5; i++) expect((await sidecar.request({ as: ALICE, path: '/v2/x' })).status).toBe(200)
    const put = await sidecar.request({
      as: ALICE,
      method: 'PUT',
      path: '/v2/x',
      headers: { 'Content-Length': 0 },
    })
    // A PUT uses a new connection.
    expect(put.status).toBe(200)
  })
})

describe('connections that are all stale', () => {
  it('fail no GET, because its retry uses a new one', async () => {
    const answers: (() => void)[] = []
    const upstream = await upstreamForTest((soFar, socket) => {
      const heads = soFar.split('\r\n\r\n').length - 1
      if (heads === 1) answers.push(() => socket.write(OK))
      else if (heads > 1) socket.resetAndDestroy()
    })
    const sidecar = await sidecarForTest({ upstreamPort: upstream.port })
    const answerAll = async (count: number) => {
      await until(() => answers.length === count, { deadlineMs: 5_000, what: `${count} requests` })
      for (const answer of answers.splice(0)) answer()
    }
    const get = async () => (await sidecar.request({ as: ALICE, path: '/v2/x' })).status
    // All three requests arrive before an answer, so each gets a connection. The next GET finds them.
    const together = Promise.all([get(), get(), get()])
    await answerAll(3)
    expect(await together).toEqual([200, 200, 200])
    const next = get()
    await answerAll(1)
    expect(await next).toBe(200)
    // Three at first, and one for the retry.
    expect(upstream.received).toHaveLength(4)
  })
})

describe('the head that the upstream gets', () => {
  it('has the listed headers of the client and those of the sidecar', async () => {
    const upstream = await upstreamForTest(answering(OK))
    const sidecar = await sidecarForTest({ upstreamPort: upstream.port, env: { SIDECAR_HOSTS: 'proxy' } })
    await sidecar.request({
      as: ALICE,
      path: '/v2/x?a=%2F',
      headers: {
        Host: 'proxy:443',
        Accept: 'a/b',
        'X-Forwarded-For': '6.6.6.6',
        'X-Forwarded-Host': 'evil',
        'X-Forwarded-Proto': 'http',
        'X-Forwarded-User': 'root',
        X_Forwarded_User: 'root',
        'X-Real-IP': '6.6.6.6',
        Forwarded: 'for=6.6.6.6;host=evil',
        'X-Hop': '1',
        Connection: 'X-Hop',
        TE: 'trailers',
        Upgrade: 'h2c',
      },
    })
    const [requestLine, ...headers] = (upstream.received[0] ?? '').trimEnd().split('\r\n')
    expect(requestLine).toBe('GET /v2/x?a=%2F HTTP/1.1')
    expect(headers.map((line) => line.toLowerCase()).sort()).toEqual([
      'accept: a/b',
      'connection: keep-alive',
      'host: proxy:443',
      'x-forwarded-for: 127.0.0.1',
      'x-forwarded-host: proxy:443',
      'x-forwarded-proto: https',
      'x-forwarded-user: alice',
      expect.stringMatching(/^x-request-id: [0-9a-f]{10}-[0-9a-z]+$/),
    ])
  })
})

describe('a user whose name is not ASCII', () => {
  it.each(NAMES)('%s is accepted, and the registry gets the name as UTF-8', async (name) => {
    const upstream = upstreamThat(answering(OK))
    const Authorization = `Basic ${Buffer.from(`${name}:pass`).toString('base64')}`
    expect((await sidecar.request({ path: '/v2/x', headers: { Authorization } })).status).toBe(200)
    const sent = /x-forwarded-user: (.*)\r\n/.exec(upstream.received[0] ?? '')?.[1] ?? ''
    expect(Buffer.from(sent, 'latin1').toString()).toBe(name)
  })
})

describe('an upload', () => {
  it('gets 100 Continue only after the login', async () => {
    const upstream = upstreamThat((soFar, socket) => {
      if (soFar.endsWith('hello')) socket.write(OK)
    })
    const put = (login: string) =>
      `PUT /v2/x HTTP/1.1\r\nHost: localhost\r\n${login}Content-Length: 5\r\nExpect: 100-continue\r\n\r\n`
    const stranger = await converse(sidecar, put(''))
    await until(() => stranger.isClosed, { deadlineMs: 5_000, what: 'the refusal' })
    expect(stranger.answer).toMatch(/^HTTP\/1\.1 401 /)

    const alice = await converse(sidecar, put(`${BASIC}\r\n`))
    await until(() => alice.answer.startsWith('HTTP/1.1 100 Continue\r\n\r\n'), {
      deadlineMs: 5_000,
      what: 'the 100',
    })
    alice.socket.write('hello')
    await until(() => alice.answer.includes('200 OK'), { deadlineMs: 5_000, what: 'the answer' })
    expect(upstream.received.join('')).not.toMatch(/expect/i)
    alice.socket.destroy()
  })

  it.each([
    ['refused by the sidecar', 'alice:wrong', 401],
    ['answered early by the registry', ALICE, 413],
  ])('%s gets its answer, not a reset, and is not read to the end', async (_what, as, status) => {
    const upstream = await upstreamForTest((soFar, socket) => {
      if (soFar.length < 200_000) socket.write('HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno')
    })
    const sidecar = await sidecarForTest({ upstreamPort: upstream.port })
    for (let i = 0; i < 5; i++) expect(await statusOfEndlessUpload(sidecar, as)).toBe(status)
    await until(() => upstream.open === 0, { deadlineMs: 5_000, what: 'the end of the upstream connections' })
  })

  it('to an unreachable registry gets its 502, not a reset', async () => {
    const sidecar = await sidecarForTest({ upstreamPort: 1 })
    for (let i = 0; i < 5; i++) expect(await statusOfEndlessUpload(sidecar, ALICE)).toBe(502)
  })

  /** Uploads without end until an answer comes. */
  function statusOfEndlessUpload(sidecar: TestSidecar, auth: string): Promise<number> {
    return new Promise((resolve, reject) => {
      const request = https.request({
        auth,
        host: '127.0.0.1',
        port: sidecar.port,
        ca: sidecar.root.pem,
        agent: false,
        method: 'PATCH',
        path: '/v2/x/blobs/uploads/1',
      })
      const chunk = Buffer.alloc(65_536)
      const timer = setInterval(() => request.write(chunk), 1)
      let status = 0
      request.on('response', (response) => {
        status = response.statusCode ?? 0
        response.resume()
      })
      request.on('error', (error) => {
        clearInterval(timer)
        if (status === 0) reject(error)
      })
      request.on('close', () => {
        clearInterval(timer)
        resolve(status)
      })
    })
  }
})
