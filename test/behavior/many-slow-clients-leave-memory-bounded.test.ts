import https from 'node:https'
import { setTimeout as pause } from 'node:timers/promises'
import { expect, it, onTestFinished } from 'vitest'
import { peakRssMib } from '../bench/process-tree.ts'
import { endlessRegistry, pullSlowly, standIdle, type Host } from '../fixtures/crowd.ts'
import { repetitions } from '../fixtures/repetitions.ts'
import { serveAsProcess } from '../fixtures/serving-process.ts'
import { ALICE } from '../fixtures/sidecar.ts'
import { until } from '../fixtures/until.ts'

const GIB = 1024 ** 3
const IDLE = repetitions({ usual: 100, stress: 2_000 })
const PULLS = repetitions({ usual: 50, stress: 200 })

// Far above the time of an answer on a slow machine; the pulls would take hours.
const ANSWER_TIMEOUT_MS = 30_000

// Far above the figures of `npm run bench:crowd`, and far below pulls that each hold 16 MiB of their body.
const MOST_MIB = 600

function statusOf({ port, ca }: Host): Promise<number> {
  return new Promise((resolve, reject) => {
    const where = { host: '127.0.0.1', port, ca, path: '/v2/' }
    const options = { ...where, auth: ALICE, agent: false, timeout: ANSWER_TIMEOUT_MS }
    https
      .get(options, (response) => {
        response.resume()
        resolve(response.statusCode ?? 0)
      })
      .on('timeout', () => {
        reject(new Error(`no answer within ${ANSWER_TIMEOUT_MS} ms`))
      })
      .on('error', reject)
  })
}

it.runIf(process.platform === 'linux')(
  `${IDLE} idle connections and ${PULLS} slow pulls of 5 GiB leave memory bounded and small requests answered`,
  { timeout: 300_000 },
  async () => {
    const registry = await endlessRegistry()
    onTestFinished(() => {
      registry.close()
    })
    const { pid, ...host } = await serveAsProcess(registry.port, {
      // All connections must be open at once, also on a slow machine.
      SIDECAR_HANDSHAKE_TIMEOUT: '5m',
      SIDECAR_HEADER_TIMEOUT: '1h',
      SIDECAR_IDLE_TIMEOUT: '1h',
    })
    const idle = await standIdle(host, IDLE)
    const pulls = await pullSlowly(host, { count: PULLS, path: `/v2/x/${5 * GIB}`, as: ALICE, pauseMs: 100 })
    onTestFinished(() => {
      pulls.leave()
      idle.leave()
    })
    const before = pulls.received
    for (let i = 0; i < 20; i++) {
      expect(await statusOf(host)).toBe(200)
      await pause(100)
    }
    await until(() => pulls.received > before, { deadlineMs: 10_000, what: 'more of the pulls' })
    expect([...idle.sockets, ...pulls.sockets].filter(({ destroyed }) => destroyed)).toEqual([])
    const peak = peakRssMib(pid)
    expect(peak).toBeGreaterThan(0)
    expect(peak).toBeLessThan(MOST_MIB)
  },
)
