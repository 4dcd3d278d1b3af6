import { execFileSync } from 'node:child_process'
import { hashSync } from 'bcryptjs'
import { once } from 'node:events'
import { appendFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import https from 'node:https'
import net from 'node:net'
import path from 'node:path'
import tls, { type TLSSocket } from 'node:tls'
import { expect, it, onTestFinished } from 'vitest'
import { portOf, start, type Running } from '../fixtures/process.ts'
import { OK, upstreamForTest, type Behavior } from '../fixtures/programmable-upstream.ts'
import { ALICE, ALICE_ENTRY } from '../fixtures/sidecar.ts'
import { tempFolder } from '../fixtures/temp-folder.ts'
import { until } from '../fixtures/until.ts'
import { basic, createWire, get } from '../fixtures/wire.ts'

const BOB = 'bob:battery staple'
const BOB_ENTRY = `bob:${hashSync('battery staple', 4)}\n`
const PIECE = 'x'.repeat(1_000)
// One every 5 ms: more than the test has time for.
const PIECES = 20_000
const CLOSING = OK.replace('\r\n\r\n', '\r\nConnection: close\r\n\r\n')
const DEADLINE = { deadlineMs: 20_000 }
// The minimum time between two log lines about one limit.
const WINDOW_MS = 10_000

interface Program extends Running {
  readonly usersFile: string
  readonly port: number
  readonly ca: Buffer
  readonly openFiles: () => number
  readonly lines: () => readonly Record<string, unknown>[]
}

async function serve(upstreamPort: number, openFiles?: number): Promise<Program> {
  const folder = tempFolder()
  mkdirSync(path.join(folder, 'users'))
  const usersFile = path.join(folder, 'users/htpasswd')
  writeFileSync(usersFile, ALICE_ENTRY)
  const running = start(['serve'], {
    cwd: folder,
    env: {
      SIDECAR_UPSTREAM: `http://127.0.0.1:${upstreamPort}`,
      SIDECAR_LISTEN: '127.0.0.1:0',
      SIDECAR_ADMIN_LISTEN: 'off',
      SIDECAR_HANDSHAKE_TIMEOUT: '5m',
    },
    ...(openFiles === undefined ? {} : { openFiles }),
  })
  const port = await portOf(running)
  return {
    ...running,
    usersFile,
    port,
    ca: readFileSync(path.join(folder, 'state/root.crt')),
    openFiles: () => readdirSync(`/proc/${running.child.pid ?? 0}/fd`).length,
    lines: () =>
      running
        .stdout()
        .split('\n')
        // The last line may be incomplete.
        .slice(0, -1)
        .map((line) => JSON.parse(line) as Record<string, unknown>),
  }
}

async function shake({ port, ca }: Program): Promise<TLSSocket> {
  const socket = tls.connect({ port, ca, host: '127.0.0.1', servername: 'localhost' })
  onTestFinished(() => {
    socket.destroy()
  })
  await once(socket, 'secureConnect')
  return socket
}

/** Opens silent connections until it is stopped, so that no descriptor stays free. */
function takeAllFiles({ port }: Program): () => void {
  const sockets = new Set<net.Socket>()
  const timer = setInterval(() => {
    const socket = net.connect(port, '127.0.0.1').on('error', () => undefined)
    sockets.add(socket)
    socket.resume().on('close', () => sockets.delete(socket))
  }, 2)
  const leave = (): void => {
    clearInterval(timer)
    for (const socket of sockets) socket.destroy()
  }
  onTestFinished(leave)
  return leave
}

function statusOf({ port, ca }: Program, auth: string): Promise<number> {
  return new Promise((resolve) => {
    https
      .get(
        {
          host: '127.0.0.1',
          port,
          ca,
          path: '/v2/',
          auth,
          agent: false,
          signal: AbortSignal.timeout(15_000),
        },
        (response) => {
          response.resume()
          resolve(response.statusCode ?? 0)
        },
      )
      .on('error', () => {
        resolve(0)
      })
  })
}

it.runIf(process.platform === 'linux')(
  'transfers continue when no file descriptor is left, and requests when some are free again',
  { timeout: 120_000 },
  async () => {
    let finish = (): void => undefined
    const registry: Behavior = (soFar, socket) => {
      if (!soFar.endsWith('\r\n\r\n')) return
      if (!soFar.includes('/blobs/')) {
        socket.write(CLOSING)
        return
      }
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${PIECE.length * PIECES}\r\n\r\n`)
      let left = PIECES
      const timer = setInterval(() => {
        if (left-- > 0) socket.write(PIECE)
      }, 5)
      onTestFinished(() => {
        clearInterval(timer)
      })
      finish = () => {
        clearInterval(timer)
        socket.write(PIECE.repeat(Math.max(0, left)))
      }
    }
    const upstream = await upstreamForTest(registry)
    const program = await serve(upstream.port)
    const kept = createWire(await shake(program))
    expect(await kept.send(get('/v2/', basic(ALICE)))).toMatch(/^HTTP\/1\.1 200 /)
    const pull = await shake(program)
    let pulled = 0
    pull.on('data', (chunk: Buffer) => (pulled += chunk.length))
    pull.write(get('/v2/x/blobs/sha256:00', basic(ALICE)))
    await until(() => pulled > 0 && upstream.open === 1, {
      ...DEADLINE,
      what: 'a pull alone with the registry',
    })

    const startedAt = performance.now()
    const limit = program.openFiles() + 6
    execFileSync('prlimit', ['--pid', String(program.child.pid), `--nofile=${limit}`])
    const leave = takeAllFiles(program)
    let answer = ''
    const isRefused = async (): Promise<boolean> => {
      answer = await kept.send(get('/v2/', basic(ALICE)))
      return !answer.startsWith('HTTP/1.1 200 ')
    }
    for (let times = 0; times < 3; times++) await until(isRefused, { ...DEADLINE, what: 'a refusal' })
    expect(answer).toMatch(/^HTTP\/1\.1 503 /)
    expect(answer).toMatch(/\r\nRetry-After: 5\r\n/)
    appendFileSync(program.usersFile, BOB_ENTRY)
    // Repeated, because a read may get the descriptor that libuv frees for a moment to close connections.
    const changing = setInterval(() => {
      appendFileSync(program.usersFile, '# changed\n')
    }, 1_000)
    onTestFinished(() => {
      clearInterval(changing)
    })
    await program.line(/file not loaded; the previous version stays in use/)
    clearInterval(changing)
    const before = pulled
    await until(() => pulled > before, { ...DEADLINE, what: 'the pull continues' })

    leave()
    await until(async () => (await statusOf(program, ALICE)) === 200, { ...DEADLINE, what: 'a login' })
    await program.line(/"added":\["bob"\]/)
    expect(await statusOf(program, BOB)).toBe(200)
    finish()
    await until(() => pulled > PIECE.length * PIECES, { ...DEADLINE, what: 'the whole blob' })
    const logged = program.lines().filter((line) => line['limit'] === 'file-descriptors')
    const line = expect.objectContaining({ who: 'EMFILE', setting: 'ulimit -n', level: 50 }) as object
    expect(logged.length).toBeGreaterThan(0)
    expect(logged.length).toBeLessThanOrEqual(1 + (performance.now() - startedAt) / WINDOW_MS)
    expect(logged).toEqual(logged.map(() => line))
  },
)

it.runIf(process.platform === 'linux')(
  'with a low limit of open files the start warns, and connections are limited so that files stay readable',
  { timeout: 120_000 },
  async () => {
    const upstream = await upstreamForTest((_, socket) => socket.write(OK))
    const program = await serve(upstream.port, 320)
    const warning = program.lines().find((line) => line['openFiles'] === 320)
    expect(warning).toMatchObject({ level: 40, connections: 32, wanted: 8_000 })
    expect(warning?.['msg']).toContain('ulimit -n 16256')
    const sockets = Array.from({ length: 400 }, () => net.connect(program.port, '127.0.0.1'))
    onTestFinished(() => {
      for (const socket of sockets) socket.destroy()
    })
    for (const socket of sockets) socket.on('error', () => undefined).resume()
    const open = () => sockets.filter(({ closed }) => !closed).length
    await until(() => open() <= 2 * 32, { ...DEADLINE, what: 'only the allowed connections' })
    appendFileSync(program.usersFile, BOB_ENTRY)
    await program.line(/"added":\["bob"\]/)
  },
)
