import net from 'node:net'
import { PassThrough } from 'node:stream'
import { expect, it, onTestFinished } from 'vitest'
import { createLimits, type LimitSettings } from '../../src/http/limits.ts'
import { createLog } from '../../src/observability/log.ts'
import { startListener, UNLIMITED } from '../fixtures/listener.ts'
import { createAuthority } from '../fixtures/own-certificate.ts'
import { until } from '../fixtures/until.ts'

const SETTINGS: LimitSettings = { ...UNLIMITED, maxConnections: 8000, maxConnectionsPerSource: 4000 }

/** Opens a hundred connections from one source and counts those that stay open. */
async function openFromOneSource(settings: Partial<LimitSettings>, affordable: number): Promise<number> {
  const log = createLog({ level: 'error', format: 'json', destination: new PassThrough().resume() })
  let reached = 0
  const metrics = { limitReached: (_limit: string, times = 1) => void (reached += times) }
  const clock = () => performance.now()
  const limits = createLimits({ ...SETTINGS, ...settings }, { log, metrics, affordable, clock })
  onTestFinished(() => {
    limits.audit.close()
  })
  const listener = await startListener({
    certificate: createAuthority().issue(),
    handler: () => undefined,
    limits,
  })
  for (let i = 0; i < 100; i++) {
    const socket = net.connect(listener.address.port, '127.0.0.1')
    onTestFinished(() => {
      socket.destroy()
    })
    socket.on('error', () => undefined).resume()
  }
  const counted = () => limits.connections.table.size + reached
  await until(() => counted() === 100, { deadlineMs: 5_000, what: 'each is accepted or reaches a limit' })
  return limits.connections.table.size
}

it.each([
  ['half of what the file descriptors allow', {}, 40, 20],
  ['half of the configured total', { maxConnections: 60 }, 1000, 30],
  ['the configured number if that is less', { maxConnectionsPerSource: 10 }, 1000, 10],
  ['all connections if the limit is off', { maxConnectionsPerSource: 'off' }, 40, 40],
] as const)('one source gets %s', async (_what, settings, affordable, expected) => {
  expect(await openFromOneSource(settings, affordable)).toBe(expected)
})
