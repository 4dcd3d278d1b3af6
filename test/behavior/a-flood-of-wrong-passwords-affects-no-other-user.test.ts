import { hashSync } from 'bcryptjs'
import { Agent } from 'node:https'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { answering, OK, upstreamForTest } from '../fixtures/programmable-upstream.ts'
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
// As by default, but no window that ends while a slow machine is still at it.
const THROTTLE = { SIDECAR_THROTTLE: `${LIMIT}/1h` }
const MINUTE_MS = 60_000
const FLOOD = '127.0.0.2'
const ELSEWHERE = '127.0.0.3'

const BOB_ENTRY = `bob:${hashSync('battery staple', 4)}\n`
const BOB = 'bob:battery staple'
// Every refusal costs as much as the dearest entry would.
const DEAR_ENTRY = `dear:${hashSync('x', 11)}\n`

async function sidecarWithUpstream(settings: TestSettings): Promise<TestSidecar> {
  const upstream = await upstreamForTest(answering(OK))
  // Both ends of up to a hundred handshakes at once are this process.
  const env = { SIDECAR_HANDSHAKE_TIMEOUT: '5m', ...THROTTLE, ...settings.env }
  return sidecarForTest({ upstreamPort: upstream.port, ...settings, env })
}

/** The way to have the throttle believe that time has passed, of which timers notice nothing. */
function clockForTest(): { readonly pass: (ms: number) => void } {
  const now = performance.now.bind(performance)
  let ahead = 0
  const clock = vi.spyOn(performance, 'now').mockImplementation(() => now() + ahead)
  onTestFinished(() => {
    clock.mockRestore()
  })
  return { pass: (ms) => (ahead += ms) }
}

/** `GET /v2/` over and over, until `isOver`, on this many connections; the answers in order. Some get none. */
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
    'are refused before any bcrypt once they have failed often enough, and hurt nobody else',
    { timeout: 300_000 },
    async () => {
      const sidecar = await sidecarWithUpstream({ users: ALICE_ENTRY + BOB_ENTRY + DEAR_ENTRY })
      expect((await get(sidecar, ALICE, FLOOD)).status).toBe(200)
      // Bob's handshake, with this process as both its ends, would have to wait for those of the flood.
      const agent = new Agent({ keepAlive: true, maxSockets: 1 })
      expect((await sidecar.request({ agent, localAddress: ELSEWHERE, path: '/v2/' })).status).toBe(401)
      const before = sidecar.comparisons
      let isOver = false
      const flooding = flood(sidecar, { connections: 64, isOver: () => isOver })
      // The first of them compute now, the others wait.
      await until(() => sidecar.comparisons > before + 2, { deadlineMs: 10_000, what: 'the flood' })

      const bob = { agent, localAddress: ELSEWHERE, path: '/v2/', as: BOB }
      expect((await sidecar.request(bob)).status).toBe(200)
      expect(sidecar.comparisons, 'the flood was still computing').toBeLessThan(before + LIMIT)
      agent.destroy()
      for (let i = 0; i < 100; i++) {
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
      // A slow machine may be too busy for some, who are told so.
      const busy = answers.filter(({ status }) => status === 503)
      expect(refused.length + throttled.length + busy.length).toBe(answers.length)
      // Four threads at most: three more may be running when the last one fails.
      expect(refused.length).toBeGreaterThanOrEqual(LIMIT)
      expect(refused.length).toBeLessThanOrEqual(LIMIT + 3)
      // Bob, and alice from the other of her two addresses.
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
    },
  )

  it('are a bounded number of lines in the audit', { timeout: 300_000 }, async () => {
    const sidecar = await sidecarWithUpstream({ users: ALICE_ENTRY })
    let requests = 0
    const isOver = () => (requests += 1) > 200
    await flood(sidecar, { connections: 64, isOver })
    const lines = sidecar.lines.filter(({ msg }) => msg === 'login refused')
    // One line for all that are throttled, one for all that are cut.
    expect(lines.length).toBeLessThanOrEqual(LIMIT + 3 + 2)
  })
})

describe('a source over the limit', () => {
  it('is let in again when its window is over', async () => {
    const clock = clockForTest()
    const sidecar = await sidecarWithUpstream({ env: { SIDECAR_THROTTLE: '4/1h' } })
    for (let i = 0; i < 4; i++) expect((await get(sidecar, 'alice:wrong')).status).toBe(401)
    clock.pass(30 * MINUTE_MS)
    const answer = await get(sidecar, ALICE)
    expect(answer.status, 'right, but not remembered: over the limit too').toBe(429)
    // The minute is for this test, if it takes that long.
    expect(Number(answer.headers['retry-after'])).toBeGreaterThan(29 * 60)
    expect(Number(answer.headers['retry-after'])).toBeLessThanOrEqual(30 * 60)
    expect((await get(sidecar, 'alice:wrong')).status).toBe(429)
    expect((await get(sidecar, ALICE, ELSEWHERE)).status).toBe(200)
    clock.pass(30 * MINUTE_MS)
    expect((await get(sidecar, 'alice:wrong')).status).toBe(401)
    expect((await get(sidecar, ALICE)).status).toBe(200)
  })

  it('keeps the logins that it has proved, also when they have to be computed again', async () => {
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

  it('waits for one name only when it is that name it keeps getting wrong', async () => {
    const clock = clockForTest()
    const sidecar = await sidecarWithUpstream({
      users: ALICE_ENTRY + BOB_ENTRY,
      env: { SIDECAR_THROTTLE: '3/1h' },
    })
    for (let i = 0; i < 9; i++) {
      expect((await get(sidecar, 'alice:outdated')).status).toBe(401)
      // Never three within a window: it is not the source that fails too often.
      clock.pass(32 * MINUTE_MS)
    }
    expect((await get(sidecar, 'alice:outdated')).status).toBe(429)
    expect((await get(sidecar, BOB)).status).toBe(200)
  })

  it('has not failed by malformed or too long credentials, which guess nothing', async () => {
    const sidecar = await sidecarWithUpstream({ env: { SIDECAR_THROTTLE: '1/1m' } })
    for (const as of ['alice', `alice:${'x'.repeat(73)}`, 'alice:']) {
      expect((await get(sidecar, as)).status).toBe(401)
    }
    expect(sidecar.comparisons).toBe(0)
    expect((await get(sidecar, ALICE)).status).toBe(200)
  })

  it('never is, when the throttle is off', async () => {
    const sidecar = await sidecarWithUpstream({ env: { SIDECAR_THROTTLE: 'off' } })
    for (let i = 0; i < 2 * LIMIT; i++) expect((await get(sidecar, 'alice:wrong')).status).toBe(401)
    expect((await get(sidecar, ALICE)).status).toBe(200)
  })
})

it('lets a hundred users behind one address log in at the same moment', { timeout: 300_000 }, async () => {
  const names = Array.from({ length: 100 }, (_, i) => `runner${i}`)
  // None may wait for ten seconds: then it would be told that too many do.
  const hash = hashSync('right', 4)
  const sidecar = await sidecarWithUpstream({ users: names.map((name) => `${name}:${hash}\n`).join('') })
  const answers = await Promise.all(names.map((name) => get(sidecar, `${name}:right`)))
  expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]))
  expect(sidecar.comparisons).toBe(100)
})
