import https, { type RequestOptions } from 'node:https'
import type { ClientRequest, IncomingMessage } from 'node:http'
import { expect, it } from 'vitest'
import { loginOf, usersFileOf } from '../fixtures/access-scene.ts'
import { dockerd } from '../fixtures/clients/dockerd.ts'
import { goContainerRegistry } from '../fixtures/clients/go-containerregistry.ts'
import { answering, OK, upstreamForTest, type Behavior } from '../fixtures/programmable-upstream.ts'
import { sidecarForTest } from '../fixtures/sidecar.ts'
import { tokenOf } from '../fixtures/token-client.ts'

const HOUR_MS = 3_600_000
const GRACE_MS = 120_000
const HALF = 'x'.repeat(1_000)
const BLOB = `/v2/a/blobs/sha256:${'a'.repeat(64)}`

async function scene(behave: Behavior, env: Readonly<Record<string, string>> = {}) {
  const clock = { ms: Date.now() }
  const upstream = await upstreamForTest(behave)
  const users = usersFileOf(['dev'])
  const sidecar = await sidecarForTest({ upstreamPort: upstream.port, users, env, now: () => clock.ms })
  const token = await tokenOf(sidecar, loginOf('dev'))
  /** Resolves to the response. `use` gets the request, which it must end. */
  const send = (options: RequestOptions, use: (request: ClientRequest) => void): Promise<IncomingMessage> =>
    new Promise((resolve, reject) => {
      const request = https.request(
        {
          host: '127.0.0.1',
          port: sidecar.port,
          ca: sidecar.root.pem,
          ...options,
          headers: { Authorization: `Bearer ${token}`, ...(options.headers as object | undefined) },
        },
        resolve,
      )
      request.on('error', reject)
      use(request)
    })
  return { clock, sidecar, send }
}

async function bytesOf(response: IncomingMessage): Promise<number> {
  let bytes = 0
  for await (const chunk of response) bytes += (chunk as Buffer).length
  return bytes
}

it('a pull that begins in the last second of its token is complete, however long it takes', async () => {
  const finish: (() => void)[] = []
  const { clock, send } = await scene((soFar, socket) => {
    if (!soFar.endsWith('\r\n\r\n')) return
    socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${2 * HALF.length}\r\n\r\n${HALF}`)
    finish.push(() => socket.write(HALF))
  })
  clock.ms += HOUR_MS + GRACE_MS - 1_000
  const response = await send({ path: BLOB }, (request) => request.end())
  clock.ms += HOUR_MS
  for (const half of finish) half()
  expect([response.statusCode, await bytesOf(response)]).toEqual([200, 2 * HALF.length])
  expect((await send({ path: BLOB }, (request) => request.end())).statusCode).toBe(401)
})

it('a push whose head arrives in time is complete, however long its body takes', async () => {
  const { clock, send } = await scene((soFar, socket) => {
    if (soFar.endsWith(HALF + HALF)) socket.write('HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n')
  })
  clock.ms += HOUR_MS + GRACE_MS - 1_000
  const headers = { 'Content-Length': 2 * HALF.length, Expect: '100-continue' }
  const response = await send({ method: 'PATCH', path: '/v2/a/blobs/uploads/1', headers }, (request) => {
    // By now the sidecar has judged the head.
    request.on('continue', () => {
      request.write(HALF)
      clock.ms += HOUR_MS
      request.end(HALF)
    })
  })
  expect(response.statusCode).toBe(201)
})

it.each([
  ['dockerd, which fetches another token when the hour is over', dockerd],
  ['go-containerregistry, which does so when it is refused', goContainerRegistry],
])('an image whose pull takes hours is complete for %s', async (_name, create) => {
  const answered = answering(OK)
  const state = { clock: { ms: 0 } }
  const { clock, sidecar } = await scene(
    (...request) => {
      // Each answer takes most of an hour.
      state.clock.ms += HOUR_MS - 60_000
      answered(...request)
    },
    { SIDECAR_CHALLENGE: 'bearer' },
  )
  state.clock = clock
  const [username = '', password = ''] = loginOf('dev').split(':')
  await create({ sidecar, login: { username, password }, now: () => clock.ms }).pull('a')
  expect(sidecar.lines.filter(({ path }) => path === '/token').length).toBeGreaterThan(2)
})
