import net from 'node:net'
import { PassThrough } from 'node:stream'
import { expect, it, onTestFinished } from 'vitest'
import { createLimits, type LimitSettings } from '../../src/http/limits.ts'
import { createListener } from '../../src/http/connections/listener.ts'
import { createLog } from '../../src/observability/log.ts'
import { createAuthority } from '../fixtures/own-certificate.ts'
import { until } from '../fixtures/until.ts'

const SETTINGS: LimitSettings = {
  maxConnections: 8000,
  maxConnectionsPerSource: 4000,
  maxRequestsPerConnection: 'off',
  maxTransfersPerUser: 'off',
  handshakeTimeout: 60_000,
  headerTimeout: 60_000,
}

/** How many connections one source gets, of a hundred that it opens. */
async function openFromOneSource(settings: Partial<LimitSettings>, affordable: number): Promise<number> {
  const log = createLog({ level: 'error', format: 'json', destination: new PassThrough().resume() })
  let reached = 0
  const metrics = { limitReached: (_limit: string, times = 1) => void (reached += times) }
  const clock = () => performance.now()
  const limits = createLimits({ ...SETTINGS, ...settings }, { log, metrics, affordable, clock })
  const listener = await createListener({
    certificate: createAuthority().issue(),
    handler: () => undefined,
    host: '127.0.0.1',
    port: 0,
    idleTimeoutMs: 60_000,
    limits,
  })
  onTestFinished(async () => {
    limits.audit.close()
    await listener.close()
  })
  for (let i = 0; i < 100; i++) {
    const socket = net.connect(listener.address.port, '127.0.0.1')
    onTestFinished(() => {
      socket.destroy()
    })
    socket.on('error', () => undefined).resume()
  }
  const counted = () => limits.connections.open + reached
  await until(() => counted() === 100, { deadlineMs: 5_000, what: 'each has been let in or met a limit' })
  return limits.connections.open
}

it.each([
  ['half of what there are file descriptors for', {}, 40, 20],
  ['half of the total that is set', { maxConnections: 60 }, 1000, 30],
  ['what is set, where that is less', { maxConnectionsPerSource: 10 }, 1000, 10],
  ['all, where that is wanted', { maxConnectionsPerSource: 'off' }, 40, 40],
] as const)('one source gets %s', async (_what, settings, affordable, expected) => {
  expect(await openFromOneSource(settings, affordable)).toBe(expected)
})
