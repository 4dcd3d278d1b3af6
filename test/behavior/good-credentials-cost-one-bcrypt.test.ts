import { Agent } from 'node:https'
import { hashSync } from 'bcryptjs'
import { expect, it } from 'vitest'
import { answering, OK, upstreamForTest } from '../fixtures/programmable-upstream.ts'
import { ALICE, ALICE_ENTRY, sidecarForTest } from '../fixtures/sidecar.ts'
import { until } from '../fixtures/until.ts'

it(
  'computes bcrypt once for 10,000 requests with the same good credentials',
  { timeout: 300_000 },
  async () => {
    const upstream = await upstreamForTest(answering(OK))
    const sidecar = await sidecarForTest({ upstreamPort: upstream.port })
    const agent = new Agent({ keepAlive: true, maxSockets: 8, ca: sidecar.root.pem })
    const statuses = new Map<number, number>()
    const lanes = Array.from({ length: 8 }, async () => {
      for (let i = 0; i < 1_250; i++) {
        const { status } = await sidecar.request({ agent, as: ALICE, path: '/v2/' })
        statuses.set(status, (statuses.get(status) ?? 0) + 1)
      }
    })
    await Promise.all(lanes)
    agent.destroy()
    expect([...statuses]).toEqual([[200, 10_000]])
    expect(sidecar.comparisons).toBe(1)
  },
)

it('computes it again when the entry changed, and refuses the old password', async () => {
  const upstream = await upstreamForTest(answering(OK))
  const sidecar = await sidecarForTest({ upstreamPort: upstream.port })
  expect((await sidecar.request({ as: ALICE, path: '/v2/' })).status).toBe(200)
  const replaceUsers = async (text: string): Promise<void> => {
    sidecar.writeUsers(text)
    // Not by logging in again and again until that works: too many failures have to wait.
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
