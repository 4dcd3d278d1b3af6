import { hashSync } from 'bcryptjs'
import { Agent } from 'node:https'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { createBcryptPool } from '../../src/auth/bcrypt-pool.ts'
import { answering, OK, upstreamForTest } from '../fixtures/programmable-upstream.ts'
import { repetitions } from '../fixtures/repetitions.ts'
import {
  ALICE,
  ALICE_ENTRY,
  sidecarForTest,
  type TestResponse,
  type TestSettings,
  type TestSidecar,
} from '../fixtures/sidecar.ts'
import { until } from '../fixtures/until.ts'

const LIMIT = 20
// The default limit with a window that does not end during the test.
const THROTTLE = { SIDECAR_THROTTLE: `${LIMIT}/1h` }
const ROUNDS = repetitions({ usual: 4, stress: 100 })
const MINUTE_MS = 60_000
const FLOOD = '127.0.0.2'
const ELSEWHERE = '127.0.0.3'

const BOB_ENTRY = `bob:${hashSync('battery staple', 4)}\n`
const BOB = 'bob:battery staple'
// Every refusal costs as much as the most expensive entry.
const DEAR_ENTRY = `dear:${hashSync('x', 10)}\n`

async function sidecarWithUpstream(settings: TestSettings): Promise<TestSidecar> {
  const upstream = await upstreamForTest(answering(OK))
  // This process is client and server of up to a hundred handshakes at once.
  const env = { SIDECAR_HANDSHAKE_TIMEOUT: '5m', ...THROTTLE, ...settings.env }
  return sidecarForTest({ upstreamPort: upstream.port, bcryptPool: createBcryptPool, ...settings, env })
}

/** Moves the clock of the throttle forward; timers do not notice. */
function clockForTest(): { readonly pass: (ms: number) => void } {
  const now = performance.now.bind(performance)
  let ahead = 0
  const clock = vi.spyOn(performance, 'now').mockImplementation(() => now() + ahead)
  onTestFinished(() => {
    clock.mockRestore()
  })
  return { pass: (ms) => (ahead += ms) }
}

/** Repeats `GET /v2/` on these connections until `isOver`. Resolves to the answers in order; cut requests have none. */
async function flood(
  sidecar: TestSidecar,
  { connections, isOver }: { readonly connections: number; readonly isOver: () => boolean },
): Promise<readonly TestResponse[]> {
  const agent = new Agent({ keepAlive: true, maxSockets: connections, ca: sidecar.root.pem })
  const answers: TestResponse[] = []
  const lanes = Array.from({ length: connections }, async (_, lane) => {
    for (let i = 0; !isOver(); i++) {
      const as = `user${lane}:guess ${i}`
      const request = { agent, localAddress: FLOOD, path: '/v2/', as }
      const answer = await sidecar.request(request).catch(() => undefined)
      if (answer !== undefined) answers.push(answer)
    }
  })
  await Promise.all(lanes)
  agent.destroy()
  return answers
}

const get = (sidecar: TestSidecar, as: string | undefined, localAddress = '127.0.0.1') =>
  sidecar.request({ path: '/v2/', localAddress, ...(as === undefined ? {} : { as }) })

describe('64 connections with wrong passwords from one address', () => {
  it(
    'are refused before any bcrypt after enough failures, with few log lines, and other users are not affected',
    { timeout: 300_000 },
    async () => {
      const sidecar = await sidecarWithUpstream({ users: ALICE_ENTRY + BOB_ENTRY + DEAR_ENTRY })
      expect((await get(sidecar, ALICE, FLOOD)).status).toBe(200)
      // Bob connects first: in this process his handshake would wait for those of the flood.
      const agent = new Agent({ keepAlive: true, maxSockets: 1 })
      expect((await sidecar.request({ agent, localAddress: ELSEWHERE, path: '/v2/' })).status).toBe(401)
      const before = sidecar.comparisons
      let isOver = false
      const flooding = flood(sidecar, { connections: 64, isOver: () => isOver })
      // The first logins are being checked now; the others wait.
      await until(() => sidecar.comparisons > before + 2, { deadlineMs: 10_000, what: 'the flood' })

      const bob = { agent, localAddress: ELSEWHERE, path: '/v2/', as: BOB }
      expect((await sidecar.request(bob)).status).toBe(200)
      expect(sidecar.comparisons, 'the flood was still computing').toBeLessThan(before + LIMIT)
      agent.destroy()
      for (let i = 0; i < ROUNDS; i++) {
        expect((await get(sidecar, ALICE)).status).toBe(200)
        expect((await get(sidecar, ALICE, FLOOD)).status, 'a remembered login from the same address').toBe(
          200,
        )
        expect((await get(sidecar, undefined, FLOOD)).status, 'no credentials').toBe(401)
      }
      isOver = true
      const answers = await flooding

      const refused = answers.filter(({ status }) => status === 401)
      const throttled = answers.filter(({ status }) => status === 429)
      // On a slow machine some logins may be answered with 503.
      const busy = answers.filter(({ status }) => status === 503)
      expect(refused.length + throttled.length + busy.length).toBe(answers.length)
      // There are at most four threads, so three more may run when the last one fails.
      expect(refused.length).toBeGreaterThanOrEqual(LIMIT)
      expect(refused.length).toBeLessThanOrEqual(LIMIT + 3)
      // Bob, and alice from her other address.
      expect(sidecar.comparisons).toBe(before + 2 + refused.length)
      expect(throttled.length + busy.length).toBeGreaterThanOrEqual(64 - LIMIT)
      expect(throttled.length).toBeGreaterThan(0)
      for (const { headers, body } of throttled) {
        expect(Number(headers['retry-after'])).toBeGreaterThanOrEqual(1)
        expect(Number(headers['retry-after'])).toBeLessThanOrEqual(3_600)
        expect(body.toString()).toContain(
          '{"errors":[{"code":"TOOMANYREQUESTS","message":"too many failed logins',
        )
      }
      const lines = sidecar.lines.filter(({ msg }) => msg === 'login refused')
      // One line for all throttled logins, one for all cut logins, and one for all with 503.
      expect(lines.length).toBeLessThanOrEqual(LIMIT + 3 + 3)
      expect(answers.length, 'enough answers for more lines').toBeGreaterThan(LIMIT + 3 + 3)
    },
  )
})

describe('a source over the limit', () => {
  it('is accepted again when its window ends', async () => {
    const clock = clockForTest()
    const sidecar = await sidecarWithUpstream({ env: { SIDECAR_THROTTLE: '4/1h' } })
    for (let i = 0; i < 4; i++) expect((await get(sidecar, 'alice:wrong')).status).toBe(401)
    clock.pass(30 * MINUTE_MS)
    const answer = await get(sidecar, ALICE)
    expect(answer.status, 'right, but not remembered: over the limit too').toBe(429)
    // The test may take up to a minute of this window.
    expect(Number(answer.headers['retry-after'])).toBeGreaterThan(29 * 60)
    expect(Number(answer.headers['retry-after'])).toBeLessThanOrEqual(30 * 60)
    expect((await get(sidecar, 'alice:wrong')).status).toBe(429)
    expect((await get(sidecar, ALICE, ELSEWHERE)).status).toBe(200)
    clock.pass(30 * MINUTE_MS)
    expect((await get(sidecar, 'alice:wrong')).status).toBe(401)
    expect((await get(sidecar, ALICE)).status).toBe(200)
  })

  it('keeps the logins that it proved, also if they need another bcrypt', async () => {
    const clock = clockForTest()
    const env = { SIDECAR_THROTTLE: '4/10h', SIDECAR_AUTH_CACHE: '10m' }
    const sidecar = await sidecarWithUpstream({ users: ALICE_ENTRY + BOB_ENTRY, env })
    expect((await get(sidecar, ALICE)).status).toBe(200)
    for (let i = 0; i < 4; i++) expect((await get(sidecar, 'alice:wrong')).status).toBe(401)
    const before = sidecar.comparisons
    for (let i = 1; i <= 4; i++) {
      clock.pass(6 * MINUTE_MS)
      expect((await get(sidecar, ALICE)).status).toBe(200)
      expect((await get(sidecar, BOB)).status, 'not proved here').toBe(429)
    }
    expect(sidecar.comparisons).toBe(before + 2)
  })

  it('is limited for one name only, if it fails only with that name', async () => {
    const clock = clockForTest()
    const sidecar = await sidecarWithUpstream({
      users: ALICE_ENTRY + BOB_ENTRY,
      env: { SIDECAR_THROTTLE: '3/1h' },
    })
    for (let i = 0; i < 9; i++) {
      expect((await get(sidecar, 'alice:outdated')).status).toBe(401)
      // Never three in one window, so the limit of the source is not reached.
      clock.pass(32 * MINUTE_MS)
    }
    expect((await get(sidecar, 'alice:outdated')).status).toBe(429)
    expect((await get(sidecar, BOB)).status).toBe(200)
  })

  it('does not fail by malformed or too long credentials, because they guess nothing', async () => {
    const sidecar = await sidecarWithUpstream({ env: { SIDECAR_THROTTLE: '1/1m' } })
    for (const as of ['alice', `alice:${'x'.repeat(73)}`, 'alice:']) {
      expect((await get(sidecar, as)).status).toBe(401)
    }
    expect(sidecar.comparisons).toBe(0)
    expect((await get(sidecar, ALICE)).status).toBe(200)
  })

  it('does not exist when the throttle is off', async () => {
    const sidecar = await sidecarWithUpstream({ env: { SIDECAR_THROTTLE: 'off' } })
    for (let i = 0; i < 2 * LIMIT; i++) expect((await get(sidecar, 'alice:wrong')).status).toBe(401)
    expect((await get(sidecar, ALICE)).status).toBe(200)
  })
})

it('a hundred users behind one address can log in at the same moment', { timeout: 300_000 }, async () => {
  const names = Array.from({ length: 100 }, (_, i) => `runner${i}`)
  // No login may wait for ten seconds, because it would then get 503.
  const hash = hashSync('right', 4)
  const sidecar = await sidecarWithUpstream({ users: names.map((name) => `${name}:${hash}\n`).join('') })
  const answers = await Promise.all(names.map((name) => get(sidecar, `${name}:right`)))
  expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]))
  expect(sidecar.comparisons).toBe(100)
})
