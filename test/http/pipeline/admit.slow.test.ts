// Checks admitted clients that behave oddly; the adversary's table has refused ones.

import { setTimeout as pause } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { answering, OK, upstreamForTest } from '../../fixtures/programmable-upstream.ts'
import { scrape } from '../../fixtures/scrape.ts'
import { ALICE, sidecarForTest } from '../../fixtures/sidecar.ts'
import { until } from '../../fixtures/until.ts'

const BASIC = `Authorization: Basic ${Buffer.from('alice:correct horse').toString('base64')}`
const HOST = 'Host: localhost'

const head = (requestLine: string, ...headers: string[]): string =>
  [requestLine, ...headers].join('\r\n').concat('\r\n\r\n')

describe('a client', () => {
  it('gets no 100 Continue on HTTP/1.0', async () => {
    const upstream = await upstreamForTest(answering(OK))
    const sidecar = await sidecarForTest({ upstreamPort: upstream.port })
    const socket = await sidecar.connect()
    let answer = ''
    socket.on('data', (chunk: Buffer) => (answer += chunk.toString('latin1')))
    socket.write(head('PUT /v2/x HTTP/1.0', HOST, BASIC, 'Expect: 100-continue', 'Content-Length: 0'))
    await until(() => socket.closed, { deadlineMs: 10_000, what: 'the end of the HTTP/1.0 connection' })
    expect(answer).toMatch(/^HTTP\/1\.1 200 /)
  })

  it('may encode the colon of a digest, which the registry and the log get decoded', async () => {
    const upstream = await upstreamForTest(answering(OK))
    const sidecar = await sidecarForTest({ upstreamPort: upstream.port })
    const digest = `sha256%3A${'0'.repeat(64)}`
    const ask = (path: string, method = 'GET') => sidecar.request({ as: ALICE, path, method })
    expect((await ask(`/v2/team/app/blobs/${digest}`)).status).toBe(200)
    expect((await ask(`/v2/team/app/blobs/uploads/?digest=${digest}`, 'POST')).status).toBe(200)
    const twice = await ask(`/v2/team/app/blobs/${digest.replace('%', '%25')}`)
    expect(twice.status).toBe(400)
    expect(twice.body.toString()).toContain('percent-encoding at byte 25 (%25)')
    expect(upstream.received.join('').match(/^(?:GET|POST) \S+/gm)).toEqual([
      `GET /v2/team/app/blobs/${digest.replace('%3A', ':')}`,
      `POST /v2/team/app/blobs/uploads/?digest=${digest}`,
    ])
    const paths = sidecar.lines.filter(({ msg }) => msg === 'request').map(({ path }) => path)
    expect(paths[0]).toBe(`/v2/team/app/blobs/${digest.replace('%3A', ':')}`)
  })

  it('cannot hold its connection by not reading its answers', { timeout: 150_000 }, async () => {
    const idleMs = 4_000
    const sidecar = await sidecarForTest({ env: { SIDECAR_IDLE_TIMEOUT: `${idleMs}ms` } })
    const socket = await sidecar.connect()
    socket.pause()
    const seconds = 'registry_sidecar_request_seconds'
    let [sent, looks] = [0, 0]
    // Sends as many requests as may wait, until unread answers have filled every buffer. The answer that is stuck then
    // ends with its connection.
    const isOver = async () => {
      const metrics = await scrape(sidecar)
      const answered = metrics.get(`${seconds}_count{route="page"}`) ?? 0
      if (answered >= sent) {
        socket.write(head('GET /-/ HTTP/1.1', HOST).repeat(10))
        sent += 10
        looks = 0
      }
      // Looks less often while an answer is stuck, because each look takes processor time.
      looks += 1
      await pause(Math.min(10 * looks, 200))
      return answered > (metrics.get(`${seconds}_bucket{le="2",route="page"}`) ?? 0)
    }
    await until(isOver, { deadlineMs: 30_000, what: 'the end of the connection' })
    socket.destroy()
  })
})
