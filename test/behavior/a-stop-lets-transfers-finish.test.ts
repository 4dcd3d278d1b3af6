import { once } from 'node:events'
import https from 'node:https'
import net from 'node:net'
import type { TLSSocket } from 'node:tls'
import { setTimeout as pause } from 'node:timers/promises'
import { describe, expect, it, onTestFinished } from 'vitest'
import { answering, OK, upstreamForTest } from '../fixtures/programmable-upstream.ts'
import { scrape } from '../fixtures/scrape.ts'
import { createBcryptPool } from '../../src/auth/bcrypt-pool.ts'
import { ALICE, sidecarForTest, type TestSidecar } from '../fixtures/sidecar.ts'
import { until } from '../fixtures/until.ts'

const BASIC = `Authorization: Basic ${Buffer.from(ALICE).toString('base64')}`
const CREATED = 'HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n'
// A limit for events that come much sooner.
const DEADLINE_MS = 50_000
const SOON_MS = 15_000

const isPut = (soFar: string) => soFar.includes('PUT ') && soFar.endsWith('\r\n\r\n')

interface Push {
  readonly socket: TLSSocket
  answer: string
  isClosed: boolean
}

/** Sends these bytes and resolves to the head of the next answer. */
async function answerTo(push: Push, bytes: string): Promise<string> {
  push.answer = ''
  push.socket.write(bytes)
  await until(() => push.answer.includes('\r\n\r\n'), { deadlineMs: SOON_MS, what: 'an answer' })
  return push.answer
}

/** Begins a PATCH of ten bytes and sends five. */
async function beginPush(sidecar: TestSidecar): Promise<Push> {
  const socket = await sidecar.connect()
  const push: Push = { socket, answer: '', isClosed: false }
  socket.on('data', (chunk: Buffer) => (push.answer += chunk.toString('latin1')))
  socket.on('close', () => (push.isClosed = true))
  socket.write(
    `PATCH /v2/app/blobs/uploads/1 HTTP/1.1\r\nHost: localhost\r\n${BASIC}\r\nContent-Length: 10\r\n\r\nfirst`,
  )
  return push
}

describe('draining', () => {
  it('lets a running push finish with the request that completes it, and refuses new requests', async () => {
    const upstream = await upstreamForTest((soFar, socket) => {
      if (soFar.endsWith('firstlater') || isPut(soFar)) socket.write(CREATED)
    })
    const sidecar = await sidecarForTest({ upstreamPort: upstream.port })
    const push = await beginPush(sidecar)
    const idle = await sidecar.connect()
    await until(() => upstream.received.join('').includes('first'), {
      deadlineMs: SOON_MS,
      what: 'the first half',
    })

    const drained = sidecar.drain(DEADLINE_MS)
    const readiness = await sidecar.readiness()
    expect(readiness).toMatchObject({
      ready: false,
      parts: { draining: { ready: false, state: 'draining' } },
    })
    await expect(sidecar.connect()).rejects.toThrow(/ECONNREFUSED/)

    expect(await answerTo(push, 'later')).toMatch(/^HTTP\/1\.1 201 /)
    const put = `PUT /v2/app/blobs/uploads/1?digest=x HTTP/1.1\r\nHost: localhost\r\n${BASIC}\r\nContent-Length: 0\r\n\r\n`
    expect(await answerTo(push, put)).toMatch(/^HTTP\/1\.1 201 /)
    const refused = await answerTo(push, `GET /v2/ HTTP/1.1\r\nHost: localhost\r\n${BASIC}\r\n\r\n`)
    expect(refused).toMatch(/^HTTP\/1\.1 503 /)
    expect(refused).toMatch(/Retry-After: \d/)
    expect(await drained).toBe(true)
    await until(() => push.isClosed, { deadlineMs: SOON_MS, what: 'the end of the connection' })
    idle.destroy()
  })

  it('ends at once when nothing is in flight, also with idle connections', async () => {
    const upstream = await upstreamForTest(answering(OK))
    const sidecar = await sidecarForTest({ upstreamPort: upstream.port })
    const agent = new https.Agent({ keepAlive: true })
    await sidecar.request({ agent, as: ALICE, path: '/v2/' })
    const start = performance.now()
    expect(await sidecar.drain(DEADLINE_MS)).toBe(true)
    expect(performance.now() - start).toBeLessThan(DEADLINE_MS)
    agent.destroy()
  })

  it('does not wait for clients without a login', { timeout: 120_000 }, async () => {
    const upstream = await upstreamForTest((soFar, socket) => {
      if (soFar.endsWith('firstlater')) socket.write(CREATED)
    })
    const sidecar = await sidecarForTest({ upstreamPort: upstream.port, env: { SIDECAR_THROTTLE: 'off' } })
    const push = await beginPush(sidecar)
    const strangers = await Promise.all([1, 2].map(() => sidecar.connect()))
    const deaf = await sidecar.connect()
    await until(() => upstream.received.join('').includes('first'), {
      deadlineMs: SOON_MS,
      what: 'the first half',
    })
    // More answers than the buffers can hold; the client reads none.
    deaf.pause()
    deaf.write('GET /-/ HTTP/1.1\r\nHost: localhost\r\n\r\n'.repeat(2_000))
    const answered = strangers.map((socket) => {
      const heard = { text: '' }
      socket.on('data', (chunk: Buffer) => (heard.text += chunk.toString('latin1')))
      socket.on('error', () => undefined)
      return heard
    })
    const wrong = `Authorization: Basic ${Buffer.from('alice:wrong').toString('base64')}\r\n`
    const asking = setInterval(() => {
      for (const [index, socket] of strangers.entries()) {
        const login = index === 0 ? '' : wrong
        socket.write(
          `PATCH /v2/app/blobs/uploads/2 HTTP/1.1\r\nHost: localhost\r\n${login}Content-Length: 0\r\n\r\n`,
        )
      }
    }, 200)
    onTestFinished(() => {
      clearInterval(asking)
      deaf.destroy()
    })

    const drained = sidecar.drain(DEADLINE_MS)
    expect(await answerTo(push, 'later')).toMatch(/^HTTP\/1\.1 201 /)
    expect(await drained).toBe(true)
    // The sidecar read these requests; otherwise the test proves nothing.
    for (const { text } of answered) expect(text.split('HTTP/1.1 401 ').length).toBeGreaterThan(3)
  })

  it('waits for bytes that are written but not sent yet', { timeout: 120_000 }, async () => {
    const body = Buffer.alloc(8 * 1024 * 1024, 'x')
    const upstream = await upstreamForTest((soFar, socket) => {
      if (!soFar.endsWith('\r\n\r\n')) return
      const size = Number(/GET \/v2\/(\d+)/.exec(soFar)?.[1])
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${size}\r\n\r\n`)
      socket.write(body.subarray(0, size))
    })
    const sidecar = await sidecarForTest({ upstreamPort: upstream.port })
    const sizes = Array.from({ length: 24 }, (_, i) => 2_000_000 + i * 200_000)
    const pulls = sizes.map(async (size) => {
      const socket = await sidecar.connect()
      const pull = { socket, received: 0, size }
      socket.write(`GET /v2/${size} HTTP/1.1\r\nHost: localhost\r\n${BASIC}\r\n\r\n`)
      return pull
    })
    const stalled = await Promise.all(pulls)
    const asked = () => upstream.received.length === sizes.length
    await until(asked, { deadlineMs: SOON_MS, what: 'all requests' })
    // Until the buffers are full and some answers are written but not sent.
    await pause(1_000)
    const drained = sidecar.drain(DEADLINE_MS)
    const closes = stalled.map(async (pull) => {
      pull.socket.on('data', (chunk: Buffer) => (pull.received += chunk.length))
      await once(pull.socket, 'close')
    })
    expect(await drained).toBe(true)
    await Promise.all(closes)
    for (const { received, size } of stalled) expect(received).toBeGreaterThan(size)
  })

  it('does not wait for a connection that sends nothing', async () => {
    const sidecar = await sidecarForTest()
    const silent = net.connect(sidecar.port, '127.0.0.1')
    silent.on('error', () => undefined)
    const closed = new Promise((resolve) => silent.once('close', resolve))
    const open = async () => (await scrape(sidecar)).get('registry_sidecar_connections')
    await until(async () => (await open()) === 1, { deadlineMs: SOON_MS, what: 'it was accepted' })
    const start = performance.now()
    expect(await sidecar.drain(DEADLINE_MS)).toBe(true)
    await closed
    expect(performance.now() - start).toBeLessThan(DEADLINE_MS)
  })

  it('answers 503 to logins that still wait, without an internal error', async () => {
    // Each takes a second and there are at most four threads, so most logins wait.
    const users = `alice:$2b$14$${'.'.repeat(53)}\n`
    const sidecar = await sidecarForTest({ users, bcryptPool: createBcryptPool })
    const logins = Array.from({ length: 20 }, (_, i) =>
      sidecar.request({ as: `alice:${i}`, path: '/v2/' }).catch(() => undefined),
    )
    const arrived = async () => (await scrape(sidecar)).get('registry_sidecar_requests_in_flight') ?? 0
    await until(async () => (await arrived()) >= 10, { deadlineMs: SOON_MS, what: 'the queue' })
    await sidecar.drain(100)
    await Promise.all(logins)
    expect(sidecar.lines.filter(({ msg }) => msg === 'unexpected error while handling a request')).toEqual([])
    expect(sidecar.lines).toContainEqual(
      expect.objectContaining({ msg: 'login refused', reason: 'logins queue full' }),
    )
  })

  it('cuts requests that are in flight at the deadline and reports it', async () => {
    const upstream = await upstreamForTest(() => undefined)
    const sidecar = await sidecarForTest({ upstreamPort: upstream.port })
    const push = await beginPush(sidecar)
    await until(() => upstream.received.join('').includes('first'), {
      deadlineMs: SOON_MS,
      what: 'the first half',
    })
    expect(await sidecar.drain(100)).toBe(false)
    await until(() => push.isClosed && upstream.open === 0, { deadlineMs: SOON_MS, what: 'the end of both' })
  })
})
