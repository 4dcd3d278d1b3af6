import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { EventEmitter, once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Writable } from 'node:stream'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import type { World } from '../../../src/app/world.ts'
import { top } from '../../../src/cli/top/top.ts'
import { parseConfig } from '../../../src/settings/config.ts'
import { run } from '../../fixtures/process.ts'
import { startSidecar, ALICE, type TestSidecar } from '../../fixtures/sidecar.ts'
import { tempFolder } from '../../fixtures/temp-folder.ts'
import { until } from '../../fixtures/until.ts'

const OTHER_KEY = 'A'.repeat(43)

let sidecar: TestSidecar
const envOf = (more: Readonly<Record<string, string>> = {}) => ({
  SIDECAR_ADMIN_LISTEN: `127.0.0.1:${sidecar.adminAddress?.port ?? 0}`,
  SIDECAR_STATE_DIR: path.join(sidecar.folder, 'state'),
  ...more,
})

beforeAll(async () => {
  sidecar = await startSidecar()
  await sidecar.request({ path: '/v2/team/app/manifests/v1', as: ALICE })
})
afterAll(() => sidecar.stop())

describe('top', () => {
  it('prints the status once if the output is no terminal', async () => {
    const { code, stdout, stderr } = await run(['top'], { env: envOf() })
    expect([code, stderr]).toEqual([0, ''])
    expect(stdout).toMatch(/pull +failed .* team\/app:v1 +alice +127\.0\.0\.1/)
    expect(stdout).not.toContain('\x1b')
  })

  it('prints one JSON document with --json', async () => {
    const { stdout } = await run(['top', '--json'], { env: envOf() })
    expect(JSON.parse(stdout)).toMatchObject({
      users: [{ user: 'alice' }],
      operations: [{ operation: 'pull' }],
    })
  })

  it('escapes with --json what a terminal would execute, and does not send its key', async () => {
    const names = { user: '\u009b2J\u202e\x7f' }
    let headers = ''
    const server = createServer(({ rawHeaders }, response) => {
      headers = rawHeaders.join()
      response.end(JSON.stringify(names))
    })
    await once(server.listen(0, '127.0.0.1'), 'listening')
    onTestFinished(() => void server.close())
    const { port } = server.address() as AddressInfo
    const { world, text } = terminalWorld()
    const env = envOf({ SIDECAR_ADMIN_LISTEN: `127.0.0.1:${port}`, SIDECAR_STATE_DIR: otherKey() })
    expect(await top(parseConfig({ env }), { json: true }, world)).toBe(0)
    expect(text()).not.toMatch(/[\p{Cc}\p{Cf}]/u)
    expect(JSON.parse(text())).toEqual(names)
    expect(headers).toMatch(/authorization,Bearer \d+\./)
    expect(headers).not.toContain(OTHER_KEY)
  })

  it.each([
    ['is missing', () => tempFolder(), /names are not shown: .* has no status\.key; set SIDECAR_STATE_DIR/],
    ['is another', otherKey, /names are not shown: the key in .* belongs to another sidecar/],
  ])('prints the status without names when the key %s', async (_, folder, note) => {
    const { code, stdout, stderr } = await run(['top', '--json'], {
      env: envOf({ SIDECAR_STATE_DIR: folder() }),
    })
    expect(code).toBe(0)
    expect(stderr).toMatch(note)
    expect(JSON.parse(stdout)).toMatchObject({ ready: false })
    expect(stdout).not.toContain('alice')
  })

  it('says when no sidecar answers, or the admin address is off', async () => {
    const gone = await run(['top'], { env: envOf({ SIDECAR_ADMIN_LISTEN: '127.0.0.1:1' }) })
    expect([gone.code, gone.stderr]).toEqual([
      1,
      'registry-sidecar: no sidecar answers on 127.0.0.1:1: ECONNREFUSED\n',
    ])
    const off = await run(['top'], { env: envOf({ SIDECAR_ADMIN_LISTEN: 'off' }) })
    expect([off.code, off.stderr]).toEqual([
      1,
      'registry-sidecar: SIDECAR_ADMIN_LISTEN is off; set it, because top needs the admin address\n',
    ])
  })
})

function otherKey(): string {
  const folder = tempFolder()
  writeFileSync(path.join(folder, 'status.key'), `${OTHER_KEY}\n`, { mode: 0o600 })
  return folder
}

describe('in a terminal', () => {
  it('redraws each second and after a resize, and restores the terminal at Ctrl-C', async () => {
    const terminal = terminalWorld()
    const finished = top(parseConfig({ env: envOf() }), { json: false }, terminal.world)
    await until(() => terminal.text().includes('team/app:v1'), {
      deadlineMs: 5_000,
      what: 'the first screen',
    })
    expect(terminal.text().startsWith('\x1b[?1049h\x1b[?25l')).toBe(true)
    await sidecar.request({ path: '/v2/team/app/manifests/v2', as: ALICE })
    await until(() => terminal.text().includes('team/app:v2'), { deadlineMs: 5_000, what: 'the next screen' })
    const before = terminal.text().length
    terminal.resize(30, 10)
    const narrow = terminal.text().slice(before)
    expect(narrow.split('\r\n').length).toBeLessThanOrEqual(10)
    // eslint-disable-next-line no-control-regex
    for (const line of narrow.replace(/\x1b\[[?\d]*[A-Za-z]/g, '').split('\r\n'))
      expect(line.length).toBeLessThanOrEqual(30)
    terminal.interrupt()
    expect(await finished).toBe(0)
    expect(terminal.text().endsWith('\x1b[?25h\x1b[?1049l')).toBe(true)
  })
})

function terminalWorld() {
  let text = ''
  const signals = new EventEmitter()
  const stdout = Object.assign(
    new Writable({
      write: (chunk: Buffer, _, done) => {
        text += chunk.toString()
        done()
      },
    }),
    { isTTY: true, columns: 200, rows: 60 },
  )
  const world: World = {
    env: {},
    stdin: process.stdin,
    stdout,
    stderr: process.stderr,
    onSignal: (_, listener) => {
      signals.on('signal', listener)
      return () => signals.off('signal', listener)
    },
  }
  return {
    world,
    text: () => text,
    resize: (columns: number, rows: number) => {
      Object.assign(stdout, { columns, rows })
      stdout.emit('resize')
    },
    interrupt: () => signals.emit('signal', 'SIGINT'),
  }
}
