// Follows the steps of docs/operations.md, "Shutdown", on a process.

import { once } from 'node:events'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import http, { type IncomingMessage } from 'node:http'
import https from 'node:https'
import path from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import tls, { type TLSSocket } from 'node:tls'
import { describe, it, type TestContext } from 'vitest'
import { loginOf, usersFileOf } from '../fixtures/access-scene.ts'
import { start, type Running } from '../fixtures/process.ts'
import { upstreamForTest } from '../fixtures/programmable-upstream.ts'
import { tempFolder } from '../fixtures/temp-folder.ts'
import { until } from '../fixtures/until.ts'

const LOGIN = loginOf('alice')
const BASIC = `Authorization: Basic ${Buffer.from(LOGIN).toString('base64')}\r\n`
const SOON_MS = 20_000

interface Scene {
  readonly sidecar: Running
  /** Resolves to the status of /readyz. */
  readonly readyz: () => Promise<number>
  /** Sends `GET /v2/` on a new connection. */
  readonly ask: () => Promise<IncomingMessage>
  readonly connect: () => Promise<Conversation>
  /** Begins a PATCH and waits until half of it is at the registry. */
  readonly beginPush: () => Promise<Conversation>
}

interface Conversation {
  readonly socket: TLSSocket
  /** Sends these bytes and resolves to the head of the answer. */
  answerTo(bytes: string): Promise<string>
  /** `performance.now()` when the connection ended. */
  readonly closed: Promise<number>
}

let lastStart: Promise<unknown> = Promise.resolve()

/** Starts one process after the other, because the tests wait most of the time and run at once. */
function startScene(test: TestContext, env: Readonly<Record<string, string>>): Promise<Scene> {
  const scene = lastStart.then(() => startNext(test, env))
  lastStart = scene.catch(() => undefined)
  return scene
}

async function startNext(
  { onTestFinished }: TestContext,
  env: Readonly<Record<string, string>>,
): Promise<Scene> {
  const upstream = await upstreamForTest((soFar, socket) => {
    const isWhole = soFar.endsWith('\r\n\r\n') && !soFar.startsWith('PATCH')
    if (isWhole || soFar.endsWith('firstlater')) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n')
  }, onTestFinished)
  const cwd = tempFolder(onTestFinished)
  mkdirSync(path.join(cwd, 'users'))
  writeFileSync(path.join(cwd, 'users', 'htpasswd'), usersFileOf(['alice']))
  const settings = {
    SIDECAR_UPSTREAM: `http://127.0.0.1:${upstream.port}`,
    SIDECAR_LISTEN: '127.0.0.1:0',
    SIDECAR_ADMIN_LISTEN: '127.0.0.1:0',
  }
  const sidecar = start([], { cwd, env: { ...settings, ...env }, onFinished: onTestFinished })
  const ready = JSON.parse(await sidecar.line(/ready to serve/)) as { tls: string; admin: string }
  const port = Number(ready.tls.split(':').at(-1))
  const ca = readFileSync(path.join(cwd, 'state', 'root.crt'))
  const connect = async (): Promise<Conversation> => {
    const socket = tls.connect({ host: '127.0.0.1', servername: 'localhost', port, ca })
    await once(socket, 'secureConnect')
    onTestFinished(() => {
      socket.destroy()
    })
    return conversationOn(socket)
  }
  return {
    sidecar,
    readyz: async () => (await answerOf(http.get(`http://${ready.admin}/readyz`))).statusCode ?? 0,
    ask: () => answerOf(https.get({ host: '127.0.0.1', port, ca, path: '/v2/', auth: LOGIN, agent: false })),
    connect,
    beginPush: async () => {
      const push = await connect()
      push.socket.write(
        `PATCH /v2/a/blobs/uploads/1 HTTP/1.1\r\nHost: localhost\r\n${BASIC}Content-Length: 10\r\n\r\nfirst`,
      )
      const isHalf = () => upstream.received.join('').endsWith('first')
      await until(isHalf, { deadlineMs: SOON_MS, what: 'half of the push' })
      return push
    },
  }
}

function conversationOn(socket: TLSSocket): Conversation {
  let text = ''
  socket.on('error', () => undefined)
  socket.on('data', (chunk: Buffer) => (text += chunk.toString()))
  return {
    socket,
    closed: new Promise((resolve) => {
      socket.once('close', () => {
        resolve(performance.now())
      })
    }),
    answerTo: async (bytes) => {
      text = ''
      socket.write(bytes)
      await until(() => text.includes('\r\n\r\n'), { deadlineMs: SOON_MS, what: 'an answer' })
      return text
    },
  }
}

async function answerOf(request: http.ClientRequest): Promise<IncomingMessage> {
  const [answer] = (await once(request, 'response')) as [IncomingMessage]
  answer.resume()
  return answer
}

const PING = `GET /v2/ HTTP/1.1\r\nHost: localhost\r\n${BASIC}\r\n`

async function beginShutdown({ sidecar }: Scene): Promise<number> {
  sidecar.child.kill('SIGTERM')
  await sidecar.line(/"draining"/)
  return performance.now()
}

/** A connection of the last moment may still get an answer, or a reset by the kernel. */
async function addressCloses({ ask }: Scene): Promise<void> {
  const isRefused = () =>
    ask().then(
      () => false,
      (error: unknown) => String(error).includes('ECONNREFUSED'),
    )
  await until(isRefused, { deadlineMs: SOON_MS, what: 'the address to close' })
}

describe.concurrent('a shutdown', () => {
  it('1: turns unready at once, and 2: serves new connections and requests during the delay', async (test) => {
    const { expect } = test
    const scene = await startScene(test, { SIDECAR_DRAIN_DELAY: '3s' })
    const kept = await scene.connect()
    expect(await kept.answerTo(PING)).toMatch(/^HTTP\/1\.1 200 [^]*Connection: keep-alive/)
    const begun = await beginShutdown(scene)
    expect(await scene.readyz()).toBe(503)
    const served = await scene.ask()
    expect([served.statusCode, served.headers.connection]).toEqual([200, 'close'])
    expect(await kept.answerTo(PING)).toMatch(/^HTTP\/1\.1 200 [^]*Connection: close/)
    await kept.closed
    // 3: closes the address.
    await addressCloses(scene)
    expect(performance.now() - begun).toBeGreaterThan(2_900)
    // 6: exits.
    expect(await scene.sidecar.finished).toMatchObject({ code: 0, signal: null, stderr: '' })
  })

  it('3: serves the first request of a connection that was accepted during the delay', async (test) => {
    const { expect } = test
    const scene = await startScene(test, { SIDECAR_DRAIN_DELAY: '1s' })
    const begun = await beginShutdown(scene)
    const late = await scene.connect()
    await pause(Math.max(0, begun + 1_500 - performance.now()))
    expect(await late.answerTo(PING)).toMatch(/^HTTP\/1\.1 200 [^]*Connection: close/)
    expect(await scene.sidecar.finished).toMatchObject({ code: 0 })
  })

  it('3: does not wait for a silent connection', async (test) => {
    const { expect } = test
    const scene = await startScene(test, { SIDECAR_DRAIN_DELAY: '100ms' })
    const silent = await scene.connect()
    const begun = await beginShutdown(scene)
    expect((await silent.closed) - begun).toBeLessThan(SOON_MS)
    expect(await scene.sidecar.finished).toMatchObject({ code: 0 })
  })

  it('4: lets a push finish after the delay, and announces the end with its answer', async (test) => {
    const { expect } = test
    const scene = await startScene(test, { SIDECAR_DRAIN_DELAY: '100ms' })
    const push = await scene.beginPush()
    await beginShutdown(scene)
    await pause(1_000)
    expect(await push.answerTo('later')).toMatch(/^HTTP\/1\.1 200 [^]*Connection: close/)
    expect(await scene.sidecar.finished).toMatchObject({ code: 0 })
  })

  it('4: counts the timeout from the end of the delay, and cuts what is left', async (test) => {
    const { expect } = test
    const scene = await startScene(test, { SIDECAR_DRAIN_DELAY: '1s', SIDECAR_DRAIN_TIMEOUT: '500ms' })
    const push = await scene.beginPush()
    const begun = await beginShutdown(scene)
    expect((await push.closed) - begun).toBeGreaterThan(1_400)
    expect(await scene.sidecar.finished).toMatchObject({ code: 1, signal: null })
  })

  it('without a delay refuses new requests, and 5: ends a second after the last transfer', async (test) => {
    const { expect } = test
    const scene = await startScene(test, {})
    const kept = await scene.connect()
    await kept.answerTo(PING)
    const push = await scene.beginPush()
    await beginShutdown(scene)
    expect(await scene.readyz()).toBe(503)
    await addressCloses(scene)
    expect(await kept.answerTo(PING)).toMatch(/^HTTP\/1\.1 503 [^]*Retry-After: 5/)
    await push.answerTo('later')
    const answered = performance.now()
    expect((await push.closed) - answered).toBeGreaterThan(900)
    expect(await scene.sidecar.finished).toMatchObject({ code: 0 })
  })

  it('ends at once with 1 at a second signal, also during the delay', async (test) => {
    const { expect } = test
    const scene = await startScene(test, { SIDECAR_DRAIN_DELAY: '1h' })
    await beginShutdown(scene)
    scene.sidecar.child.kill('SIGTERM')
    expect(await scene.sidecar.finished).toMatchObject({ code: 1, signal: null })
  })
})
