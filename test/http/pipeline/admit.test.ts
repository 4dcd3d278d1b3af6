// What becomes of clients that are let in and behave oddly. What is refused, and what that means for the requests behind
// it, stands in the adversary's table.

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
  it('is not told to continue when its HTTP version knows no such thing', async () => {
    const upstream = await upstreamForTest(answering(OK))
    const sidecar = await sidecarForTest({ upstreamPort: upstream.port })
    const socket = await sidecar.connect()
    let answer = ''
    socket.on('data', (chunk: Buffer) => (answer += chunk.toString('latin1')))
    socket.write(head('PUT /v2/x HTTP/1.0', HOST, BASIC, 'Expect: 100-continue', 'Content-Length: 0'))
    await until(() => socket.closed, { deadlineMs: 10_000, what: 'the end that HTTP/1.0 brings' })
    expect(answer).toMatch(/^HTTP\/1\.1 200 /)
  })

  it('that encodes the colon of a digest gets what it asks for; all else sees it decoded', async () => {
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

  it('cannot hold its connection by reading none of its answers', { timeout: 150_000 }, async () => {
    const idleMs = 4_000
    const sidecar = await sidecarForTest({ env: { SIDECAR_IDLE_TIMEOUT: `${idleMs}ms` } })
    const socket = await sidecar.connect()
    socket.pause()
    const seconds = 'registry_sidecar_request_seconds'
    let sent = 0
    // Few at a time, as many as are allowed to wait, until what nobody reads has filled every buffer. The answer that
    // gets stuck then is over when its connection is.
    const isOver = async () => {
      const metrics = await scrape(sidecar)
      const answered = metrics.get(`${seconds}_count`) ?? 0
      if (answered >= sent) {
        socket.write(head('GET /-/ HTTP/1.1', HOST).repeat(10))
        sent += 10
      }
      return answered > (metrics.get(`${seconds}_bucket{le="2"}`) ?? 0)
    }
    await until(isOver, { deadlineMs: 30_000, what: 'the end of the connection' })
    socket.destroy()
  })
})
