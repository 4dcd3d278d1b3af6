import { once } from 'node:events'
import http from 'node:http'
import net from 'node:net'
import { networkInterfaces } from 'node:os'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { expect, it, onTestFinished } from 'vitest'
import { createAdminListener, type AdminOptions } from '../../../src/http/admin/admin-listener.ts'
import { createStatusSource } from '../../../src/http/status/status-source.ts'
import { IDLE_SNAPSHOT } from '../../fixtures/status-snapshots.ts'
import { until } from '../../fixtures/until.ts'

async function adminForTest(options: Partial<AdminOptions> = {}) {
  const admin = await createAdminListener({
    host: '127.0.0.1',
    port: 0,
    readiness: () => Promise.reject(new Error('the test needs no readiness')),
    statusSource: createStatusSource(() => Promise.reject(new Error('the test needs no status'))),
    liveStatus: { watch: () => 'refused' },
    statusKey: undefined,
    metrics: { contentType: 'text/plain', text: () => Promise.resolve('') },
    ...options,
  })
  onTestFinished(() => admin.close())
  return admin
}

it('keeps at most 64 connections, and answers the newest one', async () => {
  const admin = await adminForTest()
  const sockets = flood(admin.address.port, '127.0.0.1', 100)
  const open = () => sockets.filter(({ closed }) => !closed).length
  await until(() => open() === 64, { deadlineMs: 5_000, what: '64 connections are left' })
  expect(sockets.findLastIndex(({ closed }) => closed)).toBe(35)
  const health = http.get({ host: '127.0.0.1', port: admin.address.port, path: '/healthz', agent: false })
  const [answer] = (await once(health, 'response')) as [http.IncomingMessage]
  answer.resume()
  expect(answer.statusCode).toBe(200)
})

it('answers a load balancer that checks in HTTP/1.0 without a Host header', async () => {
  const admin = await adminForTest({ readiness: () => Promise.resolve(READY) })
  const socket = net.connect(admin.address.port, '127.0.0.1')
  onTestFinished(() => {
    socket.destroy()
  })
  socket.write('GET /readyz HTTP/1.0\r\n\r\n')
  const [answer] = (await once(socket, 'data')) as [Buffer]
  expect(answer.toString()).toMatch(/^HTTP\/1\.1 200 /)
})

it('keeps a connection that waits for its answer during a flood', async () => {
  let finish = (): void => undefined
  let asked = false
  const readiness = async () => {
    asked = true
    await new Promise<void>((resolve) => (finish = resolve))
    return READY
  }
  const admin = await adminForTest({ readiness })
  const { port } = admin.address
  const check = http.get({ host: '127.0.0.1', port, path: '/readyz', agent: false })
  const answered = once(check, 'response')
  await until(() => asked, { deadlineMs: 5_000, what: 'the check' })
  const sockets = flood(port, '127.0.0.1', 200)
  await until(() => sockets.filter(({ closed }) => closed).length >= 200 - 63, {
    deadlineMs: 5_000,
    what: 'all but the last of the flood are closed',
  })
  finish()
  const [answer] = (await answered) as [http.IncomingMessage]
  answer.resume()
  expect(answer.statusCode).toBe(200)
})

// An address of this machine that is not the loopback.
const elsewhere = Object.values(networkInterfaces())
  .flat()
  .find((each) => each?.internal === false && each.family === 'IPv4')?.address

it.skipIf(elsewhere === undefined)(
  'reserves places for the loopback that no flood from elsewhere takes',
  async () => {
    const admin = await adminForTest({ host: undefined })
    const { port } = admin.address
    const health = net.connect(port, '127.0.0.1')
    onTestFinished(() => {
      health.destroy()
    })
    await once(health, 'connect')
    const sockets = flood(port, elsewhere ?? '', 200)
    await until(() => sockets.filter(({ closed }) => closed).length === 200 - 64, {
      deadlineMs: 5_000,
      what: '64 of the flood are left',
    })
    health.write('GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n')
    const [answer] = (await once(health, 'data')) as [Buffer]
    expect(answer.toString()).toMatch(/^HTTP\/1\.1 200 /)
  },
)

it.each(['/metrics', '/readyz', '/', '/status.json'])(
  'computes %s once for many requests at the same time',
  async (path) => {
    const asked = { readiness: 0, metrics: 0, status: 0 }
    const admin = await adminForTest({
      statusSource: createStatusSource(async () => {
        asked.status += 1
        await nextTurn()
        return IDLE_SNAPSHOT
      }),
      readiness: async () => {
        asked.readiness += 1
        await nextTurn()
        return READY
      },
      metrics: { contentType: 'text/plain', text: () => Promise.resolve(String((asked.metrics += 1))) },
    })
    const agent = new http.Agent({ keepAlive: true, maxSockets: 50 })
    onTestFinished(() => {
      agent.destroy()
    })
    const ask = () => statusOf({ agent, host: '127.0.0.1', port: admin.address.port, path })
    for (let round = 0; round < 4; round++) {
      expect(new Set(await Promise.all(Array.from({ length: 50 }, ask)))).toEqual(new Set([200]))
    }
    // Some requests arrive later than others, even on open connections.
    const times = asked.metrics + asked.readiness + asked.status
    expect(times).toBeGreaterThanOrEqual(4)
    expect(times).toBeLessThan(100)
  },
)

const OK = { ready: true, state: 'ok' }
const READY = { ready: true, parts: { users: OK, certificate: OK, freeze: OK, upstream: OK, draining: OK } }

function flood(port: number, host: string, count: number): readonly net.Socket[] {
  const sockets = Array.from({ length: count }, () => net.connect(port, host))
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy()
  })
  for (const socket of sockets) socket.on('error', () => undefined).resume()
  return sockets
}

function statusOf(options: http.RequestOptions): Promise<number> {
  return new Promise((resolve, reject) => {
    http
      .get(options, (answer) => {
        answer.resume().on('end', () => {
          resolve(answer.statusCode ?? 0)
        })
      })
      .on('error', reject)
  })
}
