import { once } from 'node:events'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import type { IncomingMessage } from 'node:http'
import https from 'node:https'
import path from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import tls from 'node:tls'
import { describe, expect, it } from 'vitest'
import { loginOf, usersFileOf } from '../fixtures/access-scene.ts'
import { portOf, start, type Running } from '../fixtures/process.ts'
import { upstreamForTest } from '../fixtures/programmable-upstream.ts'
import { tempFolder } from '../fixtures/temp-folder.ts'
import { until } from '../fixtures/until.ts'

interface Push {
  readonly sidecar: Running
  /** Sends the second half and resolves to the answer. */
  readonly finish: () => Promise<string>
  readonly statusWithoutLogin: () => Promise<number>
}

function folderWithAlice(): string {
  const folder = tempFolder()
  mkdirSync(path.join(folder, 'users'))
  writeFileSync(path.join(folder, 'users', 'htpasswd'), usersFileOf(['alice']))
  return folder
}

/** Starts a sidecar process with half of a push in flight. */
async function startWithPush(env: Readonly<Record<string, string>> = {}): Promise<Push> {
  const upstream = await upstreamForTest((soFar, socket) => {
    if (soFar.endsWith('firstlater')) socket.write('HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n')
  })
  const cwd = folderWithAlice()
  const settings = {
    SIDECAR_UPSTREAM: `http://127.0.0.1:${upstream.port}`,
    SIDECAR_LISTEN: '127.0.0.1:0',
    SIDECAR_ADMIN_LISTEN: 'off',
  }
  const sidecar = start([], { cwd, env: { ...settings, ...env } })
  const port = await portOf(sidecar)
  const ca = readFileSync(path.join(cwd, 'state', 'root.crt'))
  const socket = tls.connect({ host: '127.0.0.1', port, ca })
  socket.on('error', () => undefined)
  let answer = ''
  socket.on('data', (chunk: Buffer) => (answer += chunk.toString()))
  const login = Buffer.from(loginOf('alice')).toString('base64')
  socket.write(
    `PATCH /v2/a/blobs/uploads/1 HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic ${login}\r\nContent-Length: 10\r\n\r\nfirst`,
  )
  const half = { deadlineMs: 20_000, what: 'the first half' }
  await until(() => upstream.received.join('').endsWith('first'), half)
  return {
    sidecar,
    async statusWithoutLogin() {
      const request = https.get({ host: '127.0.0.1', port, ca, path: '/v2/', agent: false })
      const [response] = (await once(request, 'response')) as [IncomingMessage]
      response.resume()
      return response.statusCode ?? 0
    },
    async finish() {
      socket.write('later')
      await until(() => answer.includes('\r\n\r\n'), { deadlineMs: 20_000, what: 'the answer' })
      socket.destroy()
      return answer
    },
  }
}

describe('the process', () => {
  it.each(['SIGTERM', 'SIGINT'] as const)(
    'lets a running push finish at %s and ends with 0',
    async (signal) => {
      const { sidecar, finish } = await startWithPush()
      sidecar.child.kill(signal)
      await sidecar.line(/draining/)
      expect(await finish()).toMatch(/^HTTP\/1\.1 202 /)
      expect(await sidecar.finished).toMatchObject({ code: 0, signal: null, stderr: '' })
    },
  )

  it('ends with 1 when the drain deadline passes', async () => {
    const { sidecar } = await startWithPush({ SIDECAR_DRAIN_TIMEOUT: '200ms' })
    sidecar.child.kill('SIGTERM')
    expect(await sidecar.finished).toMatchObject({ code: 1, signal: null })
  })

  it('ends at once with 1 at a second signal, but not at an uncaught error during a drain', async () => {
    const plant = `process.on('SIGWINCH', () => { throw new Error('planted') })`
    const { sidecar } = await startWithPush({
      SIDECAR_DRAIN_TIMEOUT: '1h',
      NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(plant)}`,
    })
    sidecar.child.kill('SIGTERM')
    await sidecar.line(/draining/)
    sidecar.child.kill('SIGWINCH')
    await sidecar.line(/"event":"uncaught-error".*planted/)
    expect(sidecar.stdout()).not.toContain('second signal')
    sidecar.child.kill('SIGTERM')
    const { code, signal, stderr, stdout } = await sidecar.finished
    expect([code, signal]).toEqual([1, null])
    expect(stderr).toMatch(/^registry-sidecar: Error: planted/)
    expect(stdout).toContain('second signal received; stopping now')
  })

  it('ends with 0 at a signal during the start', async () => {
    const cwd = folderWithAlice()
    const env = { SIDECAR_LISTEN: '127.0.0.1:0', SIDECAR_ADMIN_LISTEN: 'off' }
    const sidecar = start([], { cwd, env })
    await sidecar.line(/users in force/)
    sidecar.child.kill('SIGTERM')
    expect(await sidecar.finished).toMatchObject({ code: 0, signal: null })
  })

  it('continues when the reader of its log has closed the pipe', async () => {
    const { sidecar, finish, statusWithoutLogin } = await startWithPush()
    sidecar.child.stdout?.destroy()
    expect(await finish()).toMatch(/^HTTP\/1\.1 202 /)
    for (let i = 0; i < 5; i++) {
      expect(await statusWithoutLogin()).toBe(401)
      await pause(50)
    }
    sidecar.child.kill('SIGTERM')
    expect(await sidecar.finished).toMatchObject({ code: 0, signal: null })
  })
})
