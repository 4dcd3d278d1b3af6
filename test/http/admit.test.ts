// What must pass for nobody, as raw bytes over TLS, before an upstream that records everything it gets.

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
  it.each<[what: string, bytes: string, status: number]>([
    ['an encoded dot segment', get('/v2/%2e%2e/x'), 400],
    ['an encoded slash', get('/v2/a%2fb'), 400],
    ['any percent-encoding', get('/v2/%61pp/tags/list'), 400],
    ['a double slash', get('/v2//app'), 400],
    ['a leading double slash', get('//v2/'), 400],
    ['a dot segment', get('/v2/./x'), 400],
    ['a parent segment', get('/v2/../x'), 400],
    ['a parent segment at the end', get('/v2/x/..'), 400],
    ['a backslash', get('/v2/a\\b'), 400],
    ['a fragment', get('/v2/#x'), 400],
    ['a fragment in the query', get('/v2/?a#x'), 400],
    ['a colon before a slash, which http-proxy takes for a URL', get('/v2/http:/x'), 400],
    ['a semicolon', get('/v2/a;b'), 400],
    ['a character outside ASCII', get('/v2/\u00e9'), 400],
    ['an absolute target', get('http://localhost/v2/'), 400],
    ['an absolute target elsewhere', get('https://other/v2/'), 400],
    ['an asterisk', head('OPTIONS * HTTP/1.1', HOST, BASIC), 400],
    ['an unknown method', head('TRACE /v2/ HTTP/1.1', HOST, BASIC), 405],
    ['two Host headers', head('GET /v2/ HTTP/1.1', HOST, 'Host: other', BASIC), 400],
    ['no Host header', head('GET /v2/ HTTP/1.1', BASIC), 400],
    ['an empty Host header', head('GET /v2/ HTTP/1.1', 'Host:', BASIC), 400],
    ['a Host with a path', head('GET /v2/ HTTP/1.1', 'Host: localhost/x', BASIC), 400],
    ['a Host with a user', head('GET /v2/ HTTP/1.1', 'Host: a@localhost', BASIC), 400],
    ['a Host with brackets that do not match', head('GET /v2/ HTTP/1.1', 'Host: [::1', BASIC), 400],
    ['HTTP/1.0 without Host', head('GET /v2/ HTTP/1.0', BASIC), 400],
    ['two Authorization headers', head('GET /v2/ HTTP/1.1', HOST, BASIC, 'Authorization: Basic eDp5'), 400],
    [
      'two equal Content-Lengths',
      head('PUT /v2/x HTTP/1.1', HOST, BASIC, 'Content-Length: 2', 'Content-Length: 2') + 'ab',
      400,
    ],
    [
      'two different Content-Lengths',
      head('PUT /v2/x HTTP/1.1', HOST, BASIC, 'Content-Length: 0', 'Content-Length: 2') + 'ab',
      400,
    ],
    ['a Content-Length list', head('PUT /v2/x HTTP/1.1', HOST, BASIC, 'Content-Length: 2, 2') + 'ab', 400],
    ['a signed Content-Length', head('PUT /v2/x HTTP/1.1', HOST, BASIC, 'Content-Length: +2') + 'ab', 400],
    [
      'both framings',
      head('PUT /v2/x HTTP/1.1', HOST, BASIC, 'Content-Length: 5', 'Transfer-Encoding: chunked') +
        '0\r\n\r\n',
      400,
    ],
    [
      'a coding before chunked',
      head('PUT /v2/x HTTP/1.1', HOST, BASIC, 'Transfer-Encoding: gzip, chunked') + '0\r\n\r\n',
      400,
    ],
    [
      'chunked twice',
      head('PUT /v2/x HTTP/1.1', HOST, BASIC, 'Transfer-Encoding: chunked', 'Transfer-Encoding: chunked') +
        '0\r\n\r\n',
      400,
    ],
    [
      'a coding that is not chunked',
      head('PUT /v2/x HTTP/1.1', HOST, BASIC, 'Transfer-Encoding: identity') + SMUGGLED,
      400,
    ],
    [
      'a disguised chunked',
      head('PUT /v2/x HTTP/1.1', HOST, BASIC, 'Transfer-Encoding: xchunked') + SMUGGLED,
      400,
    ],
    ['a space before the colon', head('PUT /v2/x HTTP/1.1', HOST, BASIC, 'Content-Length : 2') + 'ab', 400],
    ['a folded header', head('GET /v2/ HTTP/1.1', HOST, BASIC, 'X-A: b\r\n c'), 400],
    ['a NUL in a header', head('GET /v2/ HTTP/1.1', HOST, BASIC, 'X-A: b\0c'), 400],
    ['a bare carriage return in a header', head('GET /v2/ HTTP/1.1', HOST, BASIC, 'X-A: b\rX-B: c'), 400],
    [
      'a GET with a chunked body',
      head('GET /v2/ HTTP/1.1', HOST, BASIC, 'Transfer-Encoding: chunked') + '0\r\n\r\n',
      400,
    ],
    [
      'a GET with a body',
      head('GET /v2/ HTTP/1.1', HOST, BASIC, `Content-Length: ${SMUGGLED.length}`) + SMUGGLED,
      400,
    ],
    ['a HEAD with a body', head('HEAD /v2/ HTTP/1.1', HOST, BASIC, 'Content-Length: 1') + 'x', 400],
    [
      'a DELETE with a chunked body',
      head('DELETE /v2/x HTTP/1.1', HOST, BASIC, 'Transfer-Encoding: chunked') +
        `${SMUGGLED.length.toString(16)}\r\n${SMUGGLED}\r\n0\r\n\r\n`,
      400,
    ],
    [
      'an OPTIONS with a chunked body',
      head('OPTIONS /v2/x HTTP/1.1', HOST, BASIC, 'Transfer-Encoding: chunked') +
        `${SMUGGLED.length.toString(16)}\r\n${SMUGGLED}\r\n0\r\n\r\n`,
      400,
    ],
    [
      'an unknown expectation',
      head('PUT /v2/x HTTP/1.1', HOST, BASIC, 'Expect: 200-maybe', 'Content-Length: 0'),
      417,
    ],
    [
      'too many headers',
      head('GET /v2/ HTTP/1.1', HOST, BASIC, ...Array.from({ length: 250 }, () => 'a:')),
      431,
    ],
    [
      'a length behind more headers than Node keeps',
      head(
        'GET /v2/ HTTP/1.1',
        HOST,
        BASIC,
        ...Array.from({ length: 2_500 }, () => 'a:'),
        `Content-Length: ${SMUGGLED.length}`,
      ) + SMUGGLED,
      431,
    ],
    ['a head that is too large', head('GET /v2/ HTTP/1.1', HOST, BASIC, `X-A: ${'a'.repeat(20_000)}`), 431],
    ['no HTTP at all', 'SSH-2.0-OpenSSH\r\n\r\n', 400],
  ])('is refused: %s', async (_what, bytes, status) => {
    const upstream = await upstreamForTest(answering(OK))
    const sidecar = await sidecarForTest({ upstreamPort: upstream.port })
    const answer = await exchange(sidecar, bytes)
    expect(answer).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `))
    expect(upstream.received).toEqual([])
    if (!bytes.startsWith('HEAD')) expect(answer).toMatch(/"errors":\[\{"code":"[A-Z]+"/)
  })

  it.each([
    ['a GET with a Content-Length of nothing', head('GET /v2/ HTTP/1.1', HOST, BASIC, 'Content-Length: 0')],
    [
      'a query with everything a query may hold',
      get('/v2/_catalog?n=1&last=a%2Fb&x=//y/../http://z?&_state=a_b-c=='),
    ],
    ['a digest and an upload id', get('/v2/a-b_c.d/blobs/uploads/6ba7b810-9dad-11d1-80b4-00c04fd430c8')],
    ['a reference with a digest', get('/v2/a/manifests/sha256+b64u:0123456789abcdef')],
    ['HTTP/1.0 with Host', head('GET /v2/ HTTP/1.0', HOST, BASIC)],
  ])('is not confused with %s, which passes byte for byte', async (_what, bytes) => {
    const upstream = await upstreamForTest(answering(OK))
    const sidecar = await sidecarForTest({ upstreamPort: upstream.port })
    expect(await exchange(sidecar, bytes)).toMatch(/^HTTP\/1\.1 200 /)
    const target = (received: string | undefined) => received?.split(' ')[1]
    expect(upstream.received).toHaveLength(1)
    expect(target(upstream.received[0])).toBe(target(bytes))
  })

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
