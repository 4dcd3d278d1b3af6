import { renameSync, writeFileSync } from 'node:fs'
import { Agent } from 'node:https'
import { hashSync } from 'bcryptjs'
import { expect, it, onTestFinished } from 'vitest'
import { answering, OK, upstreamForTest } from '../fixtures/programmable-upstream.ts'
import { createBcryptPool } from '../../src/auth/bcrypt-pool.ts'
import { ALICE, ALICE_ENTRY, sidecarForTest } from '../fixtures/sidecar.ts'
import { until } from '../fixtures/until.ts'

const REMOVED = Array.from({ length: 30 }, (_, index) => `user-${index}`)
const PASSWORD = 'hunter two'
// About 10 ms each, so that most logins wait for a thread, but none long enough for 503.
const HASH = hashSync(PASSWORD, 7)
const ENTRIES = REMOVED.map((name) => `${name}:${HASH}\n`).join('')

interface Login {
  readonly begunAt: number
  readonly endedAt: number
  readonly status: number
}

it.each(['off', '10m'])(
  'refuses every login that began after the first refusal or waited at that time (SIDECAR_AUTH_CACHE=%s)',
  async (cache) => {
    const upstream = await upstreamForTest(answering(OK))
    const sidecar = await sidecarForTest({
      upstreamPort: upstream.port,
      users: ALICE_ENTRY + ENTRIES,
      bcryptPool: createBcryptPool,
      env: { SIDECAR_AUTH_CACHE: cache, SIDECAR_THROTTLE: 'off' },
    })
    const agent = new Agent({ keepAlive: true, ca: sidecar.root.pem })
    onTestFinished(() => {
      agent.destroy()
    })
    const login = async (as: string): Promise<Login> => {
      const begunAt = performance.now()
      const { status } = await sidecar.request({ agent, as, path: '/v2/' })
      return { begunAt, endedAt: performance.now(), status }
    }
    const logins: Login[] = []
    const lanes = REMOVED.map(async (name) => {
      // Each user tries twice more after a refusal, so these logins certainly began after it.
      for (let refused = 0; refused < 3;) {
        const one = await login(`${name}:${PASSWORD}`)
        logins.push(one)
        if (one.status === 401) refused++
      }
    })
    const areAllLoggingIn = () => logins.length > 2 * REMOVED.length
    await until(areAllLoggingIn, { deadlineMs: 15_000, what: 'all users have logged in' })

    writeFileSync(`${sidecar.usersFile}.new`, ALICE_ENTRY)
    renameSync(`${sidecar.usersFile}.new`, sidecar.usersFile)
    await Promise.all(lanes)

    const firstRefusalAt = Math.min(
      ...logins.filter(({ status }) => status === 401).map(({ endedAt }) => endedAt),
    )
    const after = logins.filter(({ begunAt }) => begunAt >= firstRefusalAt)
    expect(new Set(logins.map(({ status }) => status))).toEqual(new Set([200, 401]))
    expect(after.length).toBeGreaterThanOrEqual(2 * REMOVED.length)
    expect(new Set(after.map(({ status }) => status))).toEqual(new Set([401]))
    // Without the cache, logins of users who were still in the file waited for their bcrypt.
    const waited = sidecar.lines.filter(({ reason }) => reason === 'entry changed')
    if (cache === 'off') expect(waited.length).toBeGreaterThan(0)
    expect((await login(ALICE)).status).toBe(200)
  },
)
