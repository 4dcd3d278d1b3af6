// What a request that is refused, or the last one of its connection, means for those behind it. What is refused at all
// stands in the adversary's table.

import { describe, expect, it } from 'vitest'
import { answering, OK, upstreamForTest } from '../fixtures/programmable-upstream.ts'
import { sidecarForTest, type TestSidecar } from '../fixtures/sidecar.ts'
import { until } from '../fixtures/until.ts'

const BASIC = `Authorization: Basic ${Buffer.from('alice:correct horse').toString('base64')}`
const HOST = 'Host: localhost'

const head = (requestLine: string, ...headers: string[]): string =>
  [requestLine, ...headers].join('\r\n').concat('\r\n\r\n')
const get = (target: string): string => head(`GET ${target} HTTP/1.1`, HOST, BASIC)
const SMUGGLED = 'DELETE /v2/team/app/manifests/latest HTTP/1.1\r\nHost: localhost\r\n\r\n'

/** Sends the bytes, and resolves to all that comes back until the connection closes or falls silent. */
async function exchange(sidecar: TestSidecar, bytes: string): Promise<string> {
  const socket = await sidecar.connect()
  let answer = ''
  socket.on('data', (chunk: Buffer) => (answer += chunk.toString('latin1')))
  socket.write(bytes, 'latin1')
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, 3_000)
    socket.on('data', () => timer.refresh())
    socket.once('close', () => {
      clearTimeout(timer)
      resolve()
    })
    // A whole answer on a connection that stays open: a moment is enough for a second one to show.
    socket.on('data', () => setTimeout(resolve, 150))
  })
  socket.destroy()
  return answer
}

describe('a request that parsers could disagree about', () => {
  it.each([
    ['a Host that is no URL', head('GET /v2/ HTTP/1.1', 'Host: [', BASIC)],
    ['no Host', head('GET /v2/ HTTP/1.1', BASIC)],
    [
      'a Host that is no URL, and a body',
      head('PUT /v2/x HTTP/1.1', 'Host: [', BASIC, 'Content-Length: 2') + 'ab',
    ],
  ])('is the last one of its connection: %s', async (_what, first) => {
    const upstream = await upstreamForTest(answering(OK))
    const sidecar = await sidecarForTest({ upstreamPort: upstream.port })
    // Remembered, so that the request behind it would be forwarded before the connection closes.
    await exchange(sidecar, get('/v2/'))
    await exchange(sidecar, first + head('DELETE /v2/victim HTTP/1.1', HOST, BASIC))
    expect(upstream.received.join('')).not.toContain('DELETE')
  })

  it('is the last one of its connection when it wants another protocol, behind which Node parses nothing', async () => {
    const upstream = await upstreamForTest(answering(OK))
    const sidecar = await sidecarForTest({ upstreamPort: upstream.port })
    const socket = await sidecar.connect()
    socket.resume()
    socket.write(head('GET /v2/ HTTP/1.1', HOST, 'Connection: upgrade', 'Upgrade: h2c', BASIC) + get('/v2/'))
    await until(() => socket.closed, { deadlineMs: 5_000, what: 'the end of the connection' })
  })

  it('is not told to continue when its HTTP version knows no such thing', async () => {
    const upstream = await upstreamForTest(answering(OK))
    const sidecar = await sidecarForTest({ upstreamPort: upstream.port })
    const answer = await exchange(
      sidecar,
      head('PUT /v2/x HTTP/1.0', HOST, BASIC, 'Expect: 100-continue', 'Content-Length: 0'),
    )
    expect(answer).toMatch(/^HTTP\/1\.1 200 /)
  })

  it('cannot hold its connection by reading none of its answers', { timeout: 60_000 }, async () => {
    const sidecar = await sidecarForTest({ env: { SIDECAR_IDLE_TIMEOUT: '500ms' } })
    const socket = await sidecar.connect()
    socket.pause()
    const answered = () => sidecar.lines.filter(({ msg }) => msg === 'request')
    // Few at a time, as many as are allowed to wait, until what nobody reads has filled every buffer.
    for (let sent = 0, isMoving = true; isMoving; sent += 10) {
      socket.write(head('GET /-/ca.crt HTTP/1.1', HOST).repeat(10))
      const whole = { deadlineMs: 400, what: 'ten answers' }
      isMoving = await until(() => answered().length >= sent + 10, whole).then(
        () => true,
        () => false,
      )
    }
    // The answer that got stuck is over when its connection is.
    const isOver = () => answered().some(({ ms }) => Number(ms) > 400)
    await until(isOver, { deadlineMs: 5_000, what: 'the end of the connection' })
    socket.destroy()
  })

  it('reaches the upstream once per request when pipelined, and stops at the one that is refused', async () => {
    const upstream = await upstreamForTest(answering(OK))
    const sidecar = await sidecarForTest({ upstreamPort: upstream.port })
    const bad = head('GET /v2/ HTTP/1.1', HOST, BASIC, `Content-Length: ${SMUGGLED.length}`) + SMUGGLED
    const answer = await exchange(sidecar, get('/v2/') + bad + get('/v2/never'))
    expect(answer).toMatch(/^HTTP\/1\.1 200 /)
    expect(answer).toContain('HTTP/1.1 400 ')
    expect(upstream.received.join('')).not.toContain('DELETE')
    expect(upstream.received.join('').match(/GET /g)).toHaveLength(1)
  })
})
