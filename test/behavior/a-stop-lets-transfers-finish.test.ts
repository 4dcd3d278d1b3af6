import https from 'node:https'
import { describe, expect, it } from 'vitest'
import { answering, OK, upstreamForTest } from '../fixtures/programmable-upstream.ts'
import { ALICE, sidecarForTest, type TestSidecar } from '../fixtures/sidecar.ts'
import { until } from '../fixtures/until.ts'

const BASIC = `Authorization: Basic ${Buffer.from(ALICE).toString('base64')}`
const CREATED = 'HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n'
const DEADLINE_MS = 5_000

/** A PATCH of ten bytes, of which five are sent. */
async function beginPush(sidecar: TestSidecar) {
  const socket = await sidecar.connect()
  const push = { socket, answer: '', isClosed: false }
  socket.on('data', (chunk: Buffer) => (push.answer += chunk.toString('latin1')))
  socket.on('close', () => (push.isClosed = true))
  socket.write(
    `PATCH /v2/app/blobs/uploads/1 HTTP/1.1\r\nHost: localhost\r\n${BASIC}\r\nContent-Length: 10\r\n\r\nfirst`,
  )
  return push
}

describe('draining', () => {
  it('lets a running push finish, with the request that completes it, and takes nothing new', async () => {
    const upstream = await upstreamForTest((soFar, socket) => {
      if (soFar.endsWith('firstlater') || soFar.includes('PUT')) socket.write(CREATED)
    })
    const sidecar = await sidecarForTest({ upstreamPort: upstream.port })
    const push = await beginPush(sidecar)
    const idle = await sidecar.connect()
    await until(() => upstream.received.join('').includes('first'), {
      deadlineMs: 2_000,
      what: 'the first half',
    })

    const drained = sidecar.drain(DEADLINE_MS)
    const readiness = await sidecar.readiness()
    expect(readiness).toMatchObject({
      ready: false,
      parts: { draining: { ready: false, state: 'draining' } },
    })
    await expect(sidecar.connect()).rejects.toThrow(/ECONNREFUSED/)

    push.socket.write('later')
    await until(() => push.answer.includes('201'), { deadlineMs: 2_000, what: 'the answer to PATCH' })
    push.answer = ''
    push.socket.write(
      `PUT /v2/app/blobs/uploads/1?digest=x HTTP/1.1\r\nHost: localhost\r\n${BASIC}\r\nContent-Length: 0\r\n\r\n`,
    )
    await until(() => push.answer.includes('201'), { deadlineMs: 2_000, what: 'the answer to PUT' })
    push.answer = ''
    push.socket.write(`GET /v2/ HTTP/1.1\r\nHost: localhost\r\n${BASIC}\r\n\r\n`)
    await until(() => push.answer.includes('503'), {
      deadlineMs: 2_000,
      what: 'the refusal of something new',
    })
    expect(push.answer).toMatch(/Retry-After: \d/)
    expect(await drained).toBe(true)
    await until(() => push.isClosed, { deadlineMs: 2_000, what: 'the end of the connection' })
    idle.destroy()
  })

  it('is done at once when nothing is in flight, idle connections or not', async () => {
    const upstream = await upstreamForTest(answering(OK))
    const sidecar = await sidecarForTest({ upstreamPort: upstream.port })
    const agent = new https.Agent({ keepAlive: true })
    await sidecar.request({ agent, as: ALICE, path: '/v2/' })
    const start = performance.now()
    expect(await sidecar.drain(DEADLINE_MS)).toBe(true)
    expect(performance.now() - start).toBeLessThan(DEADLINE_MS)
    agent.destroy()
  })

  it('cuts what is still in flight at the deadline, and says so', async () => {
    const upstream = await upstreamForTest(() => undefined)
    const sidecar = await sidecarForTest({ upstreamPort: upstream.port })
    const push = await beginPush(sidecar)
    await until(() => upstream.received.join('').includes('first'), {
      deadlineMs: 2_000,
      what: 'the first half',
    })
    expect(await sidecar.drain(100)).toBe(false)
    await until(() => push.isClosed && upstream.open === 0, { deadlineMs: 2_000, what: 'the end of both' })
  })
})
