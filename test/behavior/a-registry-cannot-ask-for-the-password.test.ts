// Answers of a registry that demands a login never reach a client.

import { describe, expect, it } from 'vitest'
import { run } from '../fixtures/process.ts'
import { upstreamForTest, type Behavior } from '../fixtures/programmable-upstream.ts'
import { ALICE, sidecarForTest } from '../fixtures/sidecar.ts'
import { tempFolder } from '../fixtures/temp-folder.ts'
import { until } from '../fixtures/until.ts'

const CHALLENGES = [
  'WWW-Authenticate: Bearer realm="https://elsewhere.example/token",service="x"',
  'WWW-Authenticate: Basic realm="elsewhere"',
  'Proxy-Authenticate: Basic realm="elsewhere"',
  'Authentication-Info: nextnonce="elsewhere"',
  'Proxy-Authentication-Info: nextnonce="elsewhere"',
].join('\r\n')

function challenging(status: string, { only = '' } = {}): Behavior {
  return (soFar, socket) => {
    if (!soFar.includes('\r\n\r\n')) return
    const answer = soFar.startsWith(only) ? status : '200 OK'
    socket.end(`HTTP/1.1 ${answer}\r\n${CHALLENGES}\r\nContent-Length: 9\r\n\r\nelsewhere`)
  }
}

describe.each(['401 Unauthorized', '407 Proxy Authentication Required'])(
  'a registry that answers %s',
  (status) => {
    it.each([
      ['GET', undefined],
      ['HEAD', undefined],
      ['POST', ''],
      ['PUT', 'a manifest'],
      ['PATCH', 'x'.repeat(5_000_000)],
    ])('is answered for with 502, and its challenge is kept: %s', async (method, body) => {
      const upstream = await upstreamForTest(challenging(status))
      const sidecar = await sidecarForTest({ upstreamPort: upstream.port })
      const headers = body === undefined ? {} : { 'Content-Length': body.length }
      const answer = await sidecar.request({ as: ALICE, path: '/v2/x', method, headers, body: body ?? '' })
      expect(answer.status).toBe(502)
      expect(answer.rawHeaders.join('\n')).not.toMatch(/authenti|elsewhere/i)
      const said = {
        code: 'UNAVAILABLE',
        message: 'the registry behind demands a login of its own',
        detail: null,
      }
      if (method === 'HEAD') expect(answer.body).toHaveLength(0)
      else expect(JSON.parse(answer.body.toString())).toEqual({ errors: [said] })
      const logged = 'demands-login: the registry itself demands a login; switch off its auth'
      await until(() => sidecar.lines.some(({ reason }) => reason === logged), {
        deadlineMs: 5_000,
        what: 'the hint in the log',
      })
    })

    it('is reported by /readyz and by check, with the fix', async () => {
      const upstream = await upstreamForTest(challenging(status))
      const sidecar = await sidecarForTest({ upstreamPort: upstream.port })
      const { ready, parts } = await sidecar.readiness()
      const reason = 'the registry itself demands a login; switch off its auth'
      expect([ready, parts.upstream]).toMatchObject([false, { ready: false, state: 'unexpected', reason }])
      const env = { SIDECAR_UPSTREAM: `http://127.0.0.1:${upstream.port}` }
      const { stdout, code } = await run(['check'], { env, cwd: tempFolder() })
      expect(code).toBe(1)
      expect(stdout).toMatch(
        /^problem registry: .*: the registry itself demands a login; switch off its auth → .*REGISTRY_AUTH/m,
      )
    })
  },
)

it('check reports a registry that demands a login for uploads only', async () => {
  const upstream = await upstreamForTest(challenging('401 Unauthorized', { only: 'POST' }))
  const env = { SIDECAR_UPSTREAM: `http://127.0.0.1:${upstream.port}` }
  const { stdout } = await run(['check'], { env, cwd: tempFolder() })
  expect(stdout).toMatch(/^ok +registry: /m)
  expect(stdout).toMatch(/^problem location: the registry itself demands a login.*REGISTRY_AUTH/m)
})

it.each(['200 OK', '202 Accepted', '307 Temporary Redirect', '403 Forbidden', '404 Not Found', '500 Oops'])(
  'a challenge with %s is removed',
  async (status) => {
    const upstream = await upstreamForTest(challenging(status))
    const sidecar = await sidecarForTest({ upstreamPort: upstream.port })
    const answer = await sidecar.request({ as: ALICE, path: '/v2/x' })
    expect([answer.status, answer.body.toString()]).toEqual([Number.parseInt(status), 'elsewhere'])
    expect(answer.rawHeaders.join('\n')).not.toMatch(/authenti|elsewhere/i)
  },
)
