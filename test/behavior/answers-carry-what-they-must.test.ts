import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { converse } from '../fixtures/conversation.ts'
import { answering, upstreamForTest } from '../fixtures/programmable-upstream.ts'
import { ALICE, sidecarForTest, startSidecar, type TestSidecar } from '../fixtures/sidecar.ts'
import { until } from '../fixtures/until.ts'

// How long a refused client may go on talking. A client of this process may need longer than the second of the real one.
vi.mock('../../src/upstream/drain-request-body.ts', async (importOriginal) => ({
  ...(await importOriginal<object>()),
  MAX_DRAIN_MS: 60_000,
}))

const UPLOAD = '/v2/a/blobs/uploads/1?_state=x'

describe('an answer of our own', () => {
  let sidecar: TestSidecar
  beforeAll(async () => {
    sidecar = await startSidecar()
  })
  afterAll(() => sidecar.stop())

  it.each<[what: string, bytes: string, status: number]>([
    ['no login', 'GET /v2/ HTTP/1.1\r\nHost: localhost\r\n\r\n', 401],
    ['no such path', 'GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n', 404],
    ['an unknown method', 'TRACE /v2/ HTTP/1.1\r\nHost: localhost\r\n\r\n', 405],
    ['a target too long', `GET /v2/${'a'.repeat(9_000)} HTTP/1.1\r\nHost: localhost\r\n\r\n`, 414],
    ['a head too large', `GET /v2/ HTTP/1.1\r\nX: ${'a'.repeat(60_000)}\r\n\r\n`, 431],
    ['an unsupported version', 'GET /v2/ HTTP/1.2\r\nHost: localhost\r\n\r\n', 505],
    ['no HTTP', 'hello\r\n\r\n', 400],
    ['an invalid Host', 'GET /v2/ HTTP/1.1\r\nHost: [\r\n\r\n', 400],
  ])('names the API and keeps browsers from guessing: %s', async (_what, bytes, status) => {
    const target = { port: sidecar.port, ca: sidecar.root.pem }
    const conversation = await converse(target, {
      pieces: [bytes],
      answers: 1,
      closes: false,
      deadlineMs: 20_000,
    })
    const [answer] = conversation.answers
    conversation.end()
    expect(answer?.status).toBe(status)
    expect(answer?.headers).toMatchObject({
      'docker-distribution-api-version': 'registry/2.0',
      'x-content-type-options': 'nosniff',
      'content-type': 'application/json',
    })
    expect(answer?.headers).not.toHaveProperty('strict-transport-security')
    expect(answer?.headers).not.toHaveProperty('server')
  })
})

describe('a refusal of what is no HTTP', () => {
  it('reaches clients that look only when they have said everything', async () => {
    const sidecar = await sidecarForTest()
    const socket = await sidecar.connect()
    const say = (bytes: string) => new Promise((resolve) => socket.write(bytes, resolve))
    socket.pause()
    await say('NONSENSE\r\n\r\n')
    for (let i = 0; i < 64; i++) await say('x'.repeat(16_384))
    let answer = ''
    socket.on('data', (chunk: Buffer) => (answer += chunk.toString()))
    socket.resume()
    await until(() => socket.closed, { deadlineMs: 20_000, what: 'the end of the connection' })
    expect(answer).toMatch(/^HTTP\/1\.1 400 /)
  })
})

describe('an answer of the registry', () => {
  it('leads clients back to what they called, and to storages as it says', async () => {
    const locations = ['http://registry.evil/x', '']
    const upstream = await upstreamForTest((soFar, socket) => {
      if (!soFar.endsWith('\r\n\r\n')) return
      const location = locations.at(-1) ?? ''
      socket.write(`HTTP/1.1 202 Accepted\r\nServer: x\r\nLocation: ${location}\r\nContent-Length: 0\r\n\r\n`)
    })
    const sidecar = await sidecarForTest({ upstreamPort: upstream.port })
    const locationFor = async (location: string) => {
      locations.push(location)
      const to = { servername: 'localhost', headers: { Host: 'proxy:443' } }
      return (await sidecar.request({ as: ALICE, method: 'POST', path: '/v2/a/blobs/uploads/', ...to }))
        .headers
    }
    const own = await locationFor(`http://127.0.0.1:${upstream.port}${UPLOAD}`)
    expect(own.location).toBe(`https://proxy:443${UPLOAD}`)
    expect(own).not.toHaveProperty('server')
    expect(own['x-content-type-options']).toBe('nosniff')
    expect((await locationFor(UPLOAD)).location).toBe(UPLOAD)
    expect((await locationFor('https://storage.example/x')).location).toBe('https://storage.example/x')
  })

  it('can be found in both logs: the registry gets the id that our line has', async () => {
    const upstream = await upstreamForTest(answering('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'))
    const sidecar = await sidecarForTest({ upstreamPort: upstream.port })
    await sidecar.request({ as: ALICE, path: '/v2/', headers: { 'X-Request-Id': 'evil' } })
    const line = () => sidecar.lines.find(({ msg }) => msg === 'request')
    await until(() => line() !== undefined, { deadlineMs: 20_000, what: 'the line of the request' })
    expect(/x-request-id: (.*)\r\n/i.exec(upstream.received.join(''))?.[1]).toBe(line()?.['id'])
    expect(upstream.received.join('')).not.toContain('evil')
  })
})

describe('Strict-Transport-Security', () => {
  it('is, once wanted, sent with all answers to requests that could be read, and never the one of the registry', async () => {
    const upstream = await upstreamForTest(
      answering(
        'HTTP/1.1 200 OK\r\nStrict-Transport-Security: max-age=1\r\nX-A: b\r\nX-A: c\r\nContent-Length: 0\r\n\r\n',
      ),
    )
    const sidecar = await sidecarForTest({ upstreamPort: upstream.port, env: { SIDECAR_HSTS: '365d' } })
    const answers = [
      await sidecar.request({ as: ALICE, path: '/v2/' }),
      await sidecar.request({ path: '/v2/' }),
      await sidecar.request({ path: '/-/ca.crt' }),
      await sidecar.request({ path: '/nothing' }),
    ]
    expect(answers.map(({ status }) => status)).toEqual([200, 401, 200, 404])
    for (const { rawHeaders, headers } of answers) {
      expect(rawHeaders.filter((text) => /^strict-transport-security$/i.test(text))).toHaveLength(1)
      expect(headers['strict-transport-security']).toBe('max-age=31536000')
    }
    expect(answers[0]?.rawHeaders.filter((text) => text === 'X-A')).toHaveLength(2)
  })
})
