import { once } from 'node:events'
import http from 'node:http'
import net from 'node:net'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { expect, it, onTestFinished } from 'vitest'
import { createAdminListener, type AdminOptions } from '../../src/http/admin.ts'
import { until } from '../fixtures/until.ts'

async function adminForTest(options: Partial<AdminOptions> = {}) {
  const admin = await createAdminListener({
    host: '127.0.0.1',
    port: 0,
    readiness: () => Promise.reject(new Error('nobody asks')),
    figures: () => ({ users: 0, inFlight: 0, certificateDaysLeft: 0 }),
    metrics: { contentType: 'text/plain', text: () => Promise.resolve('') },
    ...options,
  })
  onTestFinished(() => admin.close())
  return admin
}

it('keeps no more than 64 connections to the admin address, and whoever comes last gets an answer', async () => {
  const admin = await adminForTest()
  const sockets = Array.from({ length: 100 }, () => net.connect(admin.address.port, '127.0.0.1'))
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy()
  })
  for (const socket of sockets) socket.on('error', () => undefined).resume()
  const open = () => sockets.filter(({ closed }) => !closed).length
  await until(() => open() === 64, { deadlineMs: 5_000, what: '64 connections are left' })
  expect(sockets.findLastIndex(({ closed }) => closed)).toBe(35)
  const health = http.get({ host: '127.0.0.1', port: admin.address.port, path: '/healthz', agent: false })
  const [answer] = (await once(health, 'response')) as [http.IncomingMessage]
  answer.resume()
  expect(answer.statusCode).toBe(200)
})

it.each(['/metrics', '/readyz', '/'])(
  'gathers what %s tells once for many who ask together',
  async (path) => {
    const asked = { readiness: 0, metrics: 0 }
    const admin = await adminForTest({
      readiness: async () => {
        asked.readiness += 1
        await nextTurn()
        return { ready: true, parts: { users: OK, certificate: OK, upstream: OK, draining: OK } }
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
    // Some come later than others, also when their connections are there.
    const times = path === '/metrics' ? asked.metrics : asked.readiness
    expect(times).toBeGreaterThanOrEqual(4)
    expect(times).toBeLessThan(100)
  },
)

const OK = { ready: true, state: 'ok' }

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
