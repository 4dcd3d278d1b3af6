import { hashSync } from 'bcryptjs'
import { expect, it } from 'vitest'
import { answering, OK, upstreamForTest } from '../fixtures/programmable-upstream.ts'
import { repetitions } from '../fixtures/repetitions.ts'
import { ALICE, ALICE_ENTRY, sidecarForTest } from '../fixtures/sidecar.ts'
import { until } from '../fixtures/until.ts'
import { basic, get, openWire } from '../fixtures/wire.ts'

const LANES = 8
const REQUESTS = repetitions({ usual: 480, stress: 10_000 })

it(
  `computes bcrypt once for ${REQUESTS} requests with the same right credentials`,
  { timeout: 300_000 },
  async () => {
    const upstream = await upstreamForTest(answering(OK))
    const env = { SIDECAR_MAX_REQUESTS_PER_CONNECTION: 'off', SIDECAR_LOG_LEVEL: 'info' }
    const sidecar = await sidecarForTest({ upstreamPort: upstream.port, env })
    const statuses = new Map<string, number>()
    const lanes = Array.from({ length: LANES }, async () => {
      const wire = await openWire(sidecar)
      for (let i = 0; i < REQUESTS / LANES; i++) {
        const [status = ''] = (await wire.send(get('/v2/', basic(ALICE)))).split('\r\n')
        statuses.set(status, (statuses.get(status) ?? 0) + 1)
      }
    })
    await Promise.all(lanes)
    expect([...statuses]).toEqual([['HTTP/1.1 200 OK', REQUESTS]])
    expect(sidecar.comparisons).toBe(1)
  },
)

it('computes bcrypt again after the entry changed, and refuses the old password', async () => {
  const upstream = await upstreamForTest(answering(OK))
  const sidecar = await sidecarForTest({ upstreamPort: upstream.port })
  expect((await sidecar.request({ as: ALICE, path: '/v2/' })).status).toBe(200)
  const replaceUsers = async (text: string): Promise<void> => {
    sidecar.writeUsers(text)
    // Does not repeat the login until it works, because the throttle counts failures.
    const isInForce = () => text === `alice:${sidecar.users.table.entries.get('alice')?.hash ?? ''}\n`
    await until(isInForce, { deadlineMs: 20_000, what: 'the users in force' })
  }
  await replaceUsers(`alice:${hashSync('battery staple', 4)}\n`)
  expect((await sidecar.request({ as: ALICE, path: '/v2/' })).status).toBe(401)
  expect((await sidecar.request({ as: 'alice:battery staple', path: '/v2/' })).status).toBe(200)
  await replaceUsers(ALICE_ENTRY)
  expect((await sidecar.request({ as: ALICE, path: '/v2/' })).status).toBe(200)
})

it('never remembers a wrong password', async () => {
  const sidecar = await sidecarForTest()
  for (let i = 0; i < 3; i++) {
    expect((await sidecar.request({ as: 'alice:wrong', path: '/v2/' })).status).toBe(401)
  }
  expect(sidecar.comparisons).toBe(3)
})
