import { renameSync, writeFileSync } from 'node:fs'
import { hashSync } from 'bcryptjs'
import { expect, it } from 'vitest'
import { answering, OK, upstreamForTest } from '../fixtures/programmable-upstream.ts'
import { ALICE_ENTRY, sidecarForTest } from '../fixtures/sidecar.ts'
import { until } from '../fixtures/until.ts'

const BOB = 'bob:hunter two'
const BOB_ENTRY = `bob:${hashSync('hunter two', 4)}\n`

it('refuses a removed user within 1 s of the rename, 20 times out of 20, without a restart', async () => {
  const upstream = await upstreamForTest(answering(OK))
  const sidecar = await sidecarForTest({
    upstreamPort: upstream.port,
    users: ALICE_ENTRY + BOB_ENTRY,
    // This client repeats its request while it is refused, so it must not be throttled.
    env: { SIDECAR_THROTTLE: 'off' },
  })
  const statusOfBob = async () => (await sidecar.request({ as: BOB, path: '/v2/' })).status
  const replaceUsers = (text: string) => {
    writeFileSync(`${sidecar.usersFile}.new`, text)
    renameSync(`${sidecar.usersFile}.new`, sidecar.usersFile)
  }
  const waits: number[] = []
  for (let round = 0; round < 20; round++) {
    expect(await statusOfBob()).toBe(200)
    replaceUsers(ALICE_ENTRY)
    const refused = { deadlineMs: 1_000, what: 'the first refused request' }
    waits.push(await until(async () => (await statusOfBob()) === 401, refused))
    replaceUsers(ALICE_ENTRY + BOB_ENTRY)
    await until(async () => (await statusOfBob()) === 200, { deadlineMs: 1_000, what: 'the user is back' })
  }
  console.log(`first refusal after ${waits.map((ms) => ms.toFixed(0)).join(', ')} ms`)
  expect(waits).toHaveLength(20)
})
