import { writeFileSync } from 'node:fs'
import type net from 'node:net'
import path from 'node:path'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { loginOf, usersFileOf } from '../fixtures/access-scene.ts'
import { upstreamForTest } from '../fixtures/programmable-upstream.ts'
import { sidecarForTest, type TestSidecar } from '../fixtures/sidecar.ts'
import { tempFolder } from '../fixtures/temp-folder.ts'
import { until } from '../fixtures/until.ts'
import { basic } from '../fixtures/wire.ts'

const RULES = `rules:
  - {who: builder, repositories: ["**"], allow: [pull, push, delete]}
immutable:
  - {repositories: ["team/**"], tags: ["v*"]}
`
const NOT_FOUND = 'HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n'
const CREATED = 'HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n'

interface Scene {
  readonly sidecar: TestSidecar
  /** The request lines of all requests so far. */
  readonly lines: () => readonly string[]
  /** Answers the PUT requests that wait. */
  readonly answerPuts: () => void
  readonly headOf: (tag: string, ...lines: readonly string[]) => string
}

/** A registry without tags that answers PUT when the test says so. */
async function scene(lookup = NOT_FOUND): Promise<Scene> {
  const puts: net.Socket[] = []
  const upstream = await upstreamForTest((soFar, socket) => {
    if (soFar.startsWith('PUT ')) {
      if (!puts.includes(socket) && soFar.includes('\r\n\r\n')) puts.push(socket)
    } else if (soFar.endsWith('\r\n\r\n')) socket.write(lookup)
  })
  const rulesFile = path.join(tempFolder(), 'access.yaml')
  writeFileSync(rulesFile, RULES)
  const sidecar = await sidecarForTest({
    upstreamPort: upstream.port,
    users: usersFileOf(['builder']),
    env: { SIDECAR_ACCESS: rulesFile },
  })
  return {
    sidecar,
    lines: () => upstream.received.map((bytes) => bytes.split(' HTTP/1.1', 1)[0] ?? ''),
    answerPuts: () => {
      for (const socket of puts.splice(0)) socket.write(CREATED)
    },
    headOf: (tag, ...lines) =>
      [
        `PUT /v2/team/app/manifests/${tag} HTTP/1.1`,
        'Host: localhost',
        basic(loginOf('builder')),
        ...lines,
        '\r\n',
      ].join('\r\n'),
  }
}

function push({ sidecar }: Scene, reference: string, body: string): Promise<{ readonly status: number }> {
  const [repository = '', tag = ''] = reference.split(':')
  return sidecar.request({
    as: loginOf('builder'),
    method: 'PUT',
    path: `/v2/${repository}/manifests/${tag}`,
    body,
  })
}

const WAIT = { deadlineMs: 10_000 }

describe('a push of an immutable tag', () => {
  it.each([
    ['with a length', 'Content-Length: 10', 'half'],
    ['in chunks', 'Transfer-Encoding: chunked', '4\r\nhalf\r\n'],
  ])('%s that breaks off is never sent', async (_what, framing, body) => {
    const all = await scene()
    const socket = await all.sidecar.connect()
    socket.write(all.headOf('v1', framing) + body)
    const hasLeft = () => all.sidecar.lines.some(({ status }) => status === 499)
    await until(() => socket.bytesWritten > 0, { ...WAIT, what: 'the bytes' })
    // The answer to another request shows that the sidecar has read the first half.
    await all.sidecar.request({ path: '/v2/' })
    socket.destroy()
    await until(hasLeft, { ...WAIT, what: 'the end of the push' })
    expect(all.lines()).toEqual([])
  })

  it('that is slow does not hold up the repository', async () => {
    const all = await scene()
    const socket = await all.sidecar.connect()
    socket.write(`${all.headOf('v1', 'Content-Length: 10')}half`)
    const other = push(all, 'team/app:v1', 'other')
    await until(() => all.lines().some((line) => line.startsWith('PUT')), { ...WAIT, what: 'the other push' })
    all.answerPuts()
    expect((await other).status).toBe(201)
    socket.destroy()
  })

  it('that sends chunks without end is refused at 4 MiB', async () => {
    const all = await scene()
    const socket = await all.sidecar.connect()
    let answer = ''
    socket.on('data', (chunk: Buffer) => (answer += chunk.toString()))
    socket.write(all.headOf('v1', 'Transfer-Encoding: chunked'))
    const chunk = `10000\r\n${' '.repeat(0x10000)}\r\n`
    const sending = setInterval(() => socket.write(chunk), 1)
    await until(() => answer.includes('\r\n\r\n'), { ...WAIT, what: 'the answer' })
    clearInterval(sending)
    socket.destroy()
    expect(answer).toMatch(/^HTTP\/1\.1 413 [^]*a manifest can have at most 4 MiB/)
    expect(all.lines()).toEqual([])
  })

  it('whose client leaves after the bytes were sent keeps its turn until the registry has answered', async () => {
    const all = await scene()
    const socket = await all.sidecar.connect()
    socket.write(`${all.headOf('v1', 'Content-Length: 3')}one`)
    const puts = () => all.lines().filter((line) => line.startsWith('PUT'))
    await until(() => puts().length === 1, { ...WAIT, what: 'the first push' })
    socket.destroy()
    const second = push(all, 'team/app:v1', 'two')
    const left = () => all.sidecar.lines.some(({ status }) => status === 499)
    await until(left, { ...WAIT, what: 'the client has left' })
    // A whole push elsewhere takes longer than the second push would need.
    const before = all.lines().length
    const elsewhere = push(all, 'team/other:v1', 'three')
    await until(() => puts().length === 2, { ...WAIT, what: 'the push elsewhere' })
    expect(all.lines().slice(before)).toEqual(
      ['HEAD', 'PUT'].map((method) => `${method} /v2/team/other/manifests/v1`),
    )
    all.answerPuts()
    expect((await elsewhere).status).toBe(201)
    await until(() => puts().length === 3, { ...WAIT, what: 'the second push' })
    all.answerPuts()
    expect((await second).status).toBe(201)
  })

  it('that waits for a minute gets 503, and is never sent', async () => {
    const all = await scene()
    const first = push(all, 'team/app:v1', 'one')
    const puts = () => all.lines().filter((line) => line.startsWith('PUT'))
    await until(() => puts().length === 1, { ...WAIT, what: 'the first push' })
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    onTestFinished(() => {
      vi.useRealTimers()
    })
    const second = push(all, 'team/app:v1', 'two')
    const timers = vi.getTimerCount()
    await until(() => vi.getTimerCount() > timers, { ...WAIT, what: 'the second push waits' })
    vi.advanceTimersByTime(60_000)
    expect(await second).toMatchObject({ status: 503, headers: { 'retry-after': '5' } })
    vi.useRealTimers()
    all.answerPuts()
    expect((await first).status).toBe(201)
    await until(() => all.lines().length === 3, { ...WAIT, what: 'the lookup of the second turn' })
    expect(puts()).toHaveLength(1)
  })

  it.each([
    ['answers 500', 'HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n', 502, 'the registry cannot be reached'],
    [
      'demands a login',
      'HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n',
      502,
      'the registry behind demands a login of its own',
    ],
    ['says no digest', 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n', 502, 'the registry cannot be reached'],
    ['answers nonsense', 'nonsense\r\n\r\n', 502, 'the registry cannot be reached'],
  ])(
    'is not sent if the registry %s when it is asked for the tag',
    async (_what, lookup, status, message) => {
      const all = await scene(lookup)
      const answer = await all.sidecar.request({
        as: loginOf('builder'),
        method: 'PUT',
        path: '/v2/team/app/manifests/v1',
        body: 'one',
      })
      expect([answer.status, answer.body.toString()]).toEqual([status, expect.stringContaining(message)])
      expect(all.lines()).toEqual(['HEAD /v2/team/app/manifests/v1'])
    },
  )

  it('gets the answer 502 if the registry is down', async () => {
    const rulesFile = path.join(tempFolder(), 'access.yaml')
    writeFileSync(rulesFile, RULES)
    const users = usersFileOf(['builder'])
    const sidecar = await sidecarForTest({ users, env: { SIDECAR_ACCESS: rulesFile } })
    const where = { as: loginOf('builder'), path: '/v2/team/app/manifests/v1' }
    expect((await sidecar.request({ ...where, method: 'PUT', body: 'one' })).status).toBe(502)
    const digest = `/v2/team/app/manifests/sha256:${'a'.repeat(64)}`
    expect((await sidecar.request({ ...where, method: 'DELETE', path: digest })).status).toBe(502)
  })
})
