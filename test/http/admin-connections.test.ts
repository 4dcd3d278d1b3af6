import { once } from 'node:events'
import http from 'node:http'
import net from 'node:net'
import { expect, it, onTestFinished } from 'vitest'
import { createAdminListener } from '../../src/http/admin.ts'
import { until } from '../fixtures/until.ts'

it('keeps no more than 64 connections to the admin address, and whoever comes last gets an answer', async () => {
  const admin = await createAdminListener({
    host: '127.0.0.1',
    port: 0,
    readiness: () => Promise.reject(new Error('nobody asks')),
    figures: () => ({ users: 0, inFlight: 0, certificateDaysLeft: 0 }),
    metrics: { contentType: 'text/plain', text: () => Promise.resolve('') },
  })
  onTestFinished(() => admin.close())
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
