import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  createReadStream,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import type { IncomingMessage } from 'node:http'
import https from 'node:https'
import path from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { loginOf, usersFileOf } from '../fixtures/access-scene.ts'
import { runHere } from '../fixtures/command.ts'
import { portOf, start, type Running } from '../fixtures/process.ts'
import { OK, upstreamForTest } from '../fixtures/programmable-upstream.ts'
import { tempFolder } from '../fixtures/temp-folder.ts'
import { until } from '../fixtures/until.ts'

const CREATED = 'HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n'
const SOON = { deadlineMs: 20_000 }

interface Scene {
  readonly folder: string
  readonly sidecar: Running
  /** Pushes this tag; resolves to the status. */
  readonly push: (tag: string) => Promise<number>
  readonly metric: () => Promise<number>
  readonly stop: () => Promise<void>
}

async function scene(audit: string, folder = tempFolder()): Promise<Scene> {
  const upstream = await upstreamForTest((soFar, socket) => {
    if (soFar.endsWith('\r\n\r\n{}')) socket.write(CREATED)
    // Each collection of metrics asks the registry, and would wait for this answer until its timeout.
    else if (/GET [^{}]*\r\n\r\n$/.test(soFar)) socket.write(OK)
  })
  addAlice(folder)
  const sidecar = start([], {
    cwd: folder,
    env: {
      SIDECAR_UPSTREAM: `http://127.0.0.1:${upstream.port}`,
      SIDECAR_LISTEN: '127.0.0.1:0',
      SIDECAR_ADMIN_LISTEN: '127.0.0.1:0',
      SIDECAR_AUDIT: audit,
    },
  })
  const port = await portOf(sidecar)
  const { admin } = JSON.parse(await sidecar.line(/ready to serve/)) as { admin: string }
  const ca = readFileSync(path.join(folder, 'state', 'root.crt'))
  const agent = new https.Agent({ keepAlive: true, ca })
  onTestFinished(() => {
    agent.destroy()
  })
  return {
    folder,
    sidecar,
    async push(tag) {
      const target = `/v2/a/manifests/${tag}`
      const to = {
        host: '127.0.0.1',
        port,
        path: target,
        method: 'PUT',
        auth: loginOf('alice'),
        agent,
      }
      const request = https.request(to)
      request.end('{}')
      const [response] = (await once(request, 'response')) as [IncomingMessage]
      response.resume()
      await once(response, 'end')
      return response.statusCode ?? 0
    },
    async metric() {
      const text = await (await fetch(`http://${admin}/metrics`)).text()
      return Number(/^registry_sidecar_audit_lines_dropped_total (\d+)$/m.exec(text)?.[1])
    },
    async stop() {
      agent.destroy()
      sidecar.child.kill('SIGTERM')
      expect(await sidecar.finished).toMatchObject({ code: 0, signal: null })
    },
  }
}

function addAlice(folder: string): void {
  mkdirSync(path.join(folder, 'users'))
  writeFileSync(path.join(folder, 'users', 'htpasswd'), usersFileOf(['alice']))
}

const tagsIn = (text: string): readonly string[] =>
  [...text.matchAll(/"tag":"(\w+)"/g)].map(([, tag = '']) => tag)

/** Adds so many users that the lines about them need more than the 4 MiB of the queue. */
async function fillUp({ folder, push, metric }: Scene): Promise<void> {
  const file = path.join(folder, 'users', 'htpasswd')
  const alice = readFileSync(file, 'utf8')
  const hash = alice.trimEnd().slice('alice:'.length)
  const names = Array.from({ length: 15_000 }, (_, index) => `u${index}`.padEnd(250, 'n'))
  writeFileSync(`${file}.new`, `${alice}${names.map((name) => `${name}:${hash}\n`).join('')}`)
  renameSync(`${file}.new`, file)
  await until(async () => (await metric()) > 0, { ...SOON, what: 'lines are dropped' })
  expect(await push('while-full')).toBe(201)
}

describe('the audit file', () => {
  it('is opened again at SIGUSR1 and SIGHUP; no line is lost and none is written twice', async () => {
    const file = path.join(tempFolder(), 'audit.log')
    const { push, sidecar, stop } = await scene(file)
    const renamed: string[] = []
    for (let round = 0; round < 6; round++) {
      const pushes = Array.from({ length: 20 }, (_, index) => push(`r${round}n${index}`))
      await pushes[0]
      renamed.push(`${file}.${round}`)
      renameSync(file, `${file}.${round}`)
      sidecar.child.kill(round % 2 === 0 ? 'SIGUSR1' : 'SIGHUP')
      await until(() => existsSync(file), { ...SOON, what: 'the new file, even without a line' })
      expect(await Promise.all(pushes)).toEqual(pushes.map(() => 201))
    }
    expect(await push('last')).toBe(201)
    await stop()
    const tags = [...renamed, file].flatMap((name) => tagsIn(readFileSync(name, 'utf8')))
    const expected = Array.from({ length: 120 }, (_, index) => `r${Math.floor(index / 20)}n${index % 20}`)
    expect(tags.toSorted()).toEqual([...expected, 'last'].toSorted())
    expect(tagsIn(readFileSync(file, 'utf8'))).toContain('last')
    expect(sidecar.stderr()).not.toContain('Debugger')
  })

  it('is created again if its folder was removed and restored; until then lines wait', async () => {
    const folder = path.join(tempFolder(), 'logs')
    mkdirSync(folder)
    const file = path.join(folder, 'audit.log')
    const { push, sidecar, stop } = await scene(file)
    rmSync(folder, { recursive: true })
    expect(await push('one')).toBe(201)
    expect(JSON.parse(await sidecar.line(/audit-not-written/))).toMatchObject({
      level: 50,
      file,
      reason: expect.stringContaining('its folder does not exist') as string,
    })
    mkdirSync(folder)
    await until(() => existsSync(file) && tagsIn(readFileSync(file, 'utf8')).length === 1, {
      ...SOON,
      what: 'the line',
    })
    expect(JSON.parse(await sidecar.line(/audit-written-again/))).toMatchObject({ level: 40, dropped: 0 })
    await stop()
  })

  it.each([
    ['a missing folder', 'missing/audit.log', 'its folder does not exist: create it'],
    ['a folder', '.', 'is a folder: set SIDECAR_AUDIT to a file in it'],
    ['a folder that is a file', 'users/htpasswd/audit.log', 'its folder is a file'],
  ])('that is %s ends the start, with the fix', async (_what, file, message) => {
    const cwd = tempFolder()
    addAlice(cwd)
    const env = { SIDECAR_LISTEN: '127.0.0.1:0', SIDECAR_ADMIN_LISTEN: 'off', SIDECAR_AUDIT: file }
    const { code, stderr } = await runHere(['serve'], { cwd, env })
    expect(code).toBe(1)
    expect(stderr).toContain(message)
  })

  it('keeps the mode of an existing file', async () => {
    const file = path.join(tempFolder(), 'audit.log')
    writeFileSync(file, '')
    chmodSync(file, 0o640)
    const { push, stop } = await scene(file)
    expect(await push('one')).toBe(201)
    await stop()
    expect(tagsIn(readFileSync(file, 'utf8'))).toEqual(['one'])
  })
})

describe('a transfer', () => {
  it('is neither lost nor delayed by a full disk; dropped lines are counted', async () => {
    const full = await scene('/dev/full')
    expect(await full.push('one')).toBe(201)
    expect(JSON.parse(await full.sidecar.line(/audit-not-written/))).toMatchObject({
      level: 50,
      reason: expect.stringContaining('ENOSPC') as string,
      hint: expect.any(String) as string,
    })
    await fillUp(full)
    expect(await full.push('two')).toBe(201)
    await full.stop()
    expect(JSON.parse(await full.sidecar.line(/audit-lines-lost/))).toMatchObject({ level: 50 })
  })

  it('is neither lost nor delayed by a named pipe that nobody reads; a reader gets the lines later', async () => {
    const pipe = path.join(tempFolder(), 'audit.pipe')
    execFileSync('mkfifo', [pipe])
    const slow = await scene(pipe)
    await fillUp(slow)
    let text = ''
    const reader = createReadStream(pipe, 'utf8').on('data', (chunk) => (text += String(chunk)))
    onTestFinished(() => {
      reader.destroy()
    })
    // Not the whole text each time, because it has megabytes.
    await until(() => text.slice(-2_000).includes('"lines-dropped"'), {
      ...SOON,
      what: 'the line with the count',
    })
    const lines = text
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line) as { event: string; count?: number; user?: string })
    const names = lines.flatMap(({ event, user }) => (event === 'user-added' ? [user] : []))
    expect(names.length).toBeGreaterThan(1_000)
    expect(new Set(names).size).toBe(names.length)
    expect(lines.find(({ event }) => event === 'lines-dropped')).toMatchObject({ count: await slow.metric() })
    expect(JSON.parse(await slow.sidecar.line(/audit-written-again/))).toMatchObject({
      dropped: await slow.metric(),
    })
    await slow.stop()
  })

  it('continues when the reader of standard output is gone', async () => {
    const { push, sidecar, stop } = await scene('stdout')
    expect(await push('one')).toBe(201)
    expect(JSON.parse(await sidecar.line(/"event":"push"/))).toMatchObject({ stream: 'audit', tag: 'one' })
    sidecar.child.stdout?.destroy()
    for (let i = 0; i < 20; i++) expect(await push(`gone${i}`)).toBe(201)
    await stop()
  })

  it('continues when the reader of standard output stops reading', async () => {
    const stalled = await scene('stdout')
    stalled.sidecar.child.stdout?.pause()
    await fillUp(stalled)
    stalled.sidecar.child.stdout?.resume()
    expect(JSON.parse(await stalled.sidecar.line(/"event":"lines-dropped"/))).toMatchObject({
      stream: 'audit',
    })
    await stalled.stop()
  })
})
