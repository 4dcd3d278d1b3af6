import { hashSync } from 'bcryptjs'
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it, vi, type TestContext } from 'vitest'
import type { VerifierParts } from '../../src/auth/verifier.ts'
import { answering, OK, startUpstream, upstreamForTest } from '../fixtures/programmable-upstream.ts'
import type { Behavior, ProgrammableUpstream } from '../fixtures/programmable-upstream.ts'
import {
  ALICE,
  sidecarForTest,
  startSidecar,
  type TestSettings,
  type TestSidecar,
} from '../fixtures/sidecar.ts'
import { until } from '../fixtures/until.ts'

const BASIC = `Authorization: Basic ${Buffer.from(ALICE).toString('base64')}`
const BOB = 'bob:battery staple'
const BOB_ENTRY = `bob:${hashSync('battery staple', 4)}\n`
// Longer than a busy machine suspends this process.
const IDLE_MS = 3_000
// Ten steps together take longer than IDLE_MS.
const STEP_MS = 400
const SOON_MS = 20_000

/** Holds the checks of Bob's logins until `until` resolves. The other tests of this file run meanwhile. */
const held = vi.hoisted(() => ({ logins: 0, until: Promise.resolve() }))

vi.mock(import('../../src/auth/verifier.ts'), async (importOriginal) => {
  const original = await importOriginal()
  return {
    ...original,
    createVerifier: (parts: VerifierParts) => {
      const verifier = original.createVerifier(parts)
      return {
        verify: async (credentials, source) => {
          if (credentials.username === 'bob') {
            held.logins += 1
            await held.until
            held.logins -= 1
          }
          return verifier.verify(credentials, source)
        },
      }
    },
  }
})

async function talkTo(sidecar: TestSidecar) {
  const socket = await sidecar.connect()
  const talk = { socket, answer: '', isClosed: false }
  socket.on('data', (chunk: Buffer) => (talk.answer += chunk.toString('latin1')))
  socket.on('close', () => (talk.isClosed = true))
  return talk
}

const reasonsOf = (sidecar: TestSidecar) =>
  sidecar.lines.filter(({ msg }) => msg === 'request').map(({ status, reason }) => [status, reason])

// Without a check, a body in another coding would look like one without a coding.
const CODINGS = [
  'Transfer-Encoding: x',
  'Transfer-Encoding: identity',
  'Transfer-Encoding: ',
  'Transfer-Encoding: gzip, chunked',
  'Transfer-Encoding: chunked, x',
  'Transfer-Encoding: chunked, chunked',
  'Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked',
  'Transfer-Encoding: x\r\nTransfer-Encoding: chunked',
  'Transfer-Encoding: chunked;q=1',
  'Transfer-Encoding: xchunked',
  'Transfer-Encoding: x\r\nContent-Length: 12',
  'Transfer-Encoding: chunked\r\nContent-Length: 12',
]

/** The tests share a sidecar; `behaviors` has what the registry does with each path. */
describe('a fault before the answer', () => {
  const behaviors = new Map<string, Behavior>()
  let upstream: ProgrammableUpstream
  let sidecar: TestSidecar
  beforeAll(async () => {
    upstream = await startUpstream((soFar, socket, connection) => {
      const target = soFar.slice(soFar.lastIndexOf('GET ')).split(' ')[1] ?? ''
      behaviors.get(target)?.(soFar, socket, connection)
    })
    sidecar = await startSidecar({ upstreamPort: upstream.port })
  })
  afterAll(async () => {
    await sidecar.stop()
    upstream.stop()
  })

  /** The path at which the registry does this. */
  function targetOf(behave: Behavior): string {
    const target = `/v2/${behaviors.size}`
    behaviors.set(target, behave)
    return target
  }

  it.each<[what: string, behave: Behavior, status: number, reason: RegExp]>([
    [
      'resets in the head',
      (_, socket) => socket.write('HTTP/1.1 200 O', () => socket.resetAndDestroy()),
      502,
      /ECONNRESET/,
    ],
    ['ends in the head', (_, socket) => socket.end('HTTP/1.1 200 OK\r\nContent-'), 502, /broke-off/],
    [
      'sends a malformed head',
      (_, socket) => socket.end('HTTP/1.1 200 OK\r\nBad Header\r\n\r\n'),
      502,
      /HPE_/,
    ],
    [
      'sends two lengths',
      (_, socket) => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab'),
      502,
      /HPE_/,
    ],
    ...CODINGS.map((lines): [string, Behavior, number, RegExp] => [
      `sends a body under ${JSON.stringify(lines)}`,
      (_, socket) => socket.end(`HTTP/1.1 200 OK\r\n${lines}\r\n\r\n2\r\nok\r\n0\r\n\r\n`),
      502,
      /broke-off: (?:the answer has a transfer coding other than chunked|HPE_)/,
    ]),
    ['sends an invalid status', (_, socket) => socket.end('HTTP/1.1 20 OK\r\n\r\n'), 502, /broke-off/],
  ])('%s: the client gets a status, and the log has the cause', async (_what, behave, status, reason) => {
    const target = targetOf(behave)
    const answer = await sidecar.request({ as: ALICE, path: target })
    expect(answer.status).toBe(status)
    expect(answer.body.toString()).toMatch(/^\{"errors":\[\{"code":"UNAVAILABLE"/)
    const lines = () => sidecar.lines.filter(({ msg, path }) => msg === 'request' && path === target)
    await until(() => lines().length === 1, { deadlineMs: SOON_MS, what: 'the log line' })
    expect(lines()).toMatchObject([{ status, reason: expect.stringMatching(reason) as string }])
    await until(() => upstream.open === 0, {
      deadlineMs: SOON_MS,
      what: 'the end of the upstream connection',
    })
  })

  it.each(['chunked', 'Chunked', ' chunked '])(
    'does not occur with the one supported coding: %j',
    async (coding) => {
      const target = targetOf((_soFar, socket) => {
        socket.end(`HTTP/1.1 200 OK\r\nTransfer-Encoding: ${coding}\r\n\r\n2\r\nok\r\n0\r\n\r\n`)
      })
      const { status, body } = await sidecar.request({ as: ALICE, path: target })
      expect([status, body.toString()]).toEqual([200, 'ok'])
    },
  )

  it('does not occur when 100 or 103 comes first', async () => {
    const target = targetOf((_soFar, socket) => {
      socket.write('HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n')
      socket.end('HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
    })
    const { status, body } = await sidecar.request({ as: ALICE, path: target })
    expect([status, body.toString()]).toEqual([200, 'ok'])
  })
})

interface SceneOptions extends TestSettings {
  readonly behave: Behavior
}

/** Starts both for a concurrent test, which needs the `onTestFinished` of its own context. */
async function setScene({ onTestFinished }: TestContext, { behave, ...settings }: SceneOptions) {
  const upstream = await upstreamForTest(behave, onTestFinished)
  const env = { SIDECAR_IDLE_TIMEOUT: `${IDLE_MS}ms` }
  const sidecar = await sidecarForTest({ upstreamPort: upstream.port, env, ...settings }, onTestFinished)
  return { upstream, sidecar }
}

describe.concurrent('the timeouts', () => {
  it('do not end a login that takes longer than a connection may be idle', async (test) => {
    const { sidecar } = await setScene(test, { behave: answering(OK), users: BOB_ENTRY })
    let letIn = (): void => undefined
    held.until = new Promise((resolve) => (letIn = resolve))
    test.onTestFinished(() => {
      letIn()
    })
    const answer = sidecar.request({ as: BOB, path: '/v2/x' }).catch((error: unknown) => error)
    await until(() => held.logins === 1, { deadlineMs: SOON_MS, what: 'the login' })
    // Opened later than the connection that waits for its login.
    const other = await talkTo(sidecar)
    await until(() => other.isClosed, { deadlineMs: SOON_MS, what: 'the end of an idle connection' })
    letIn()
    expect(await answer).toMatchObject({ status: 200 })
  })

  it('do not end a slow answer while bytes move', async (test) => {
    const { sidecar } = await setScene(test, {
      behave: (_soFar, socket) => void drip(socket.write.bind(socket)),
    })
    const { status, body } = await sidecar.request({ as: ALICE, path: '/v2/x' })
    expect([status, body.toString()]).toEqual([200, '0123456789'])
  })

  it.for<[what: string, first: string, then: string]>([
    ['interim answers without end', 'HTTP/1.1 102 Processing\r\n\r\n', 'HTTP/1.1 102 Processing\r\n\r\n'],
    ['a head without end', 'HTTP/1.1 200 OK\r\nX: ', 'x'],
  ])('end %s', async ([, first, then], test) => {
    const { upstream, sidecar } = await setScene(test, {
      behave: (_soFar, socket) => {
        socket.write(first)
        const timer = setInterval(() => socket.write(then), 100)
        socket.on('close', () => {
          clearInterval(timer)
        })
      },
      env: { SIDECAR_RESPONSE_TIMEOUT: '1s' },
    })
    expect(await sidecar.request({ as: ALICE, path: '/v2/x' })).toMatchObject({ status: 504 })
    await until(() => upstream.open === 0, {
      deadlineMs: SOON_MS,
      what: 'the end of the upstream connection',
    })
  })

  it('do not end a slow push, but end one that stalls', async (test) => {
    const { upstream, sidecar } = await setScene(test, {
      behave: (soFar, socket) => {
        if (soFar.endsWith('0123456789')) socket.write('HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n')
      },
    })
    const head = `PATCH /v2/x HTTP/1.1\r\nHost: localhost\r\n${BASIC}\r\nContent-Length: 10\r\n\r\n`
    const [trickling, stalled] = [await talkTo(sidecar), await talkTo(sidecar)]
    trickling.socket.write(head)
    stalled.socket.write(`${head}01234`)
    for (const digit of '0123456789') {
      await pause(STEP_MS)
      trickling.socket.write(digit)
    }
    await until(() => trickling.answer.includes('202'), {
      deadlineMs: SOON_MS,
      what: 'the answer to the trickle',
    })
    await until(() => stalled.isClosed, { deadlineMs: SOON_MS, what: 'the end of the stalled push' })
    expect(stalled.answer).toBe('')
    expect(upstream.received.filter((text) => text.endsWith('01234'))).toHaveLength(1)
    trickling.socket.destroy()
    await until(() => reasonsOf(sidecar).length === 2, { deadlineMs: SOON_MS, what: 'both log lines' })
    expect(reasonsOf(sidecar)).toContainEqual([499, 'client-closed: the client sent no byte of its request'])
  })

  it('end an upload that the registry stops reading', { timeout: 60_000 }, async (test) => {
    const { sidecar } = await setScene(test, { behave: (_soFar, socket) => socket.pause() })
    const talk = await talkTo(sidecar)
    talk.socket.write(
      `PATCH /v2/x HTTP/1.1\r\nHost: localhost\r\n${BASIC}\r\nContent-Length: 100000000\r\n\r\n`,
    )
    const piece = Buffer.alloc(1024 * 1024)
    for (let i = 0; i < 50; i++) talk.socket.write(piece)
    await until(() => talk.answer.startsWith('HTTP/1.1 504 '), { deadlineMs: SOON_MS, what: 'the answer' })
    talk.socket.destroy()
  })
})

async function drip(write: (text: string) => unknown): Promise<void> {
  write('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n')
  for (const digit of '0123456789') {
    await pause(STEP_MS)
    write(digit)
  }
}
