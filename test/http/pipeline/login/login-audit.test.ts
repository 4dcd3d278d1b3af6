import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import {
  BUSY_REASON,
  createLoginAudit,
  THROTTLED_REASON,
} from '../../../../src/http/pipeline/login/login-audit.ts'
import { recordedLog } from '../../../fixtures/recorded-log.ts'

function auditForTest() {
  const recorded = recordedLog()
  const audit = createLoginAudit(recorded.log)
  /** The lines since the last call. */
  const lines = () => recorded.lines.splice(0)
  const refuse = (
    reason: string,
    { address = '192.0.2.1', username }: { address?: string; username?: string } = {},
  ) => {
    audit.refused({ address, reason, username })
  }
  return { audit, lines, refuse }
}

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

it('logs each refused login in its own line', () => {
  const { lines, refuse } = auditForTest()
  refuse('wrong password', { username: 'alice' })
  refuse('wrong password', { username: 'alice' })
  refuse('unknown user')
  const written = lines()
  expect(written).toMatchObject([
    { level: 40, msg: 'login refused', address: '192.0.2.1', reason: 'wrong password', user: 'alice' },
    { msg: 'login refused', address: '192.0.2.1', reason: 'wrong password', user: 'alice' },
    { msg: 'login refused', address: '192.0.2.1', reason: 'unknown user' },
  ])
  expect(written[2]).not.toHaveProperty('user')
  for (const line of written) expect(line).not.toHaveProperty('count')
})

it.each([
  [THROTTLED_REASON, 1],
  [BUSY_REASON, 1],
  ['wrong password', 60],
  ['the credentials are not base64', 60],
])(
  'logs a flood of "%s" in %i lines a minute per source, and one line that counts the rest',
  (reason, most) => {
    const { lines, refuse } = auditForTest()
    for (let i = 0; i < 1_000; i++) refuse(reason)
    refuse(reason, { address: '192.0.2.2' })
    expect(lines()).toHaveLength(most + 1)
    vi.advanceTimersByTime(60_000)
    expect(lines()).toMatchObject([
      { msg: 'login refused', address: '192.0.2.1', reason, count: 1_000 - most },
    ])
    refuse(reason)
    expect(lines()).toHaveLength(1)
  },
)

it('logs a bounded number of sources, and how many logins it left out', () => {
  const { lines, refuse } = auditForTest()
  for (let i = 0; i < 200_000; i++)
    refuse('the credentials are not base64', { address: `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}` })
  expect(lines()).toHaveLength(1_000)
  // Refusals that cost nothing must not hide guesses.
  refuse('wrong password', { address: '192.0.2.77' })
  expect(lines()).toMatchObject([{ reason: 'wrong password', address: '192.0.2.77' }])
  vi.advanceTimersByTime(60_000)
  expect(lines()).toMatchObject([{ msg: 'more logins refused than are listed', count: 199_000 }])
})

it('logs its counts when it is closed, and leaves no timer', () => {
  const { audit, lines, refuse } = auditForTest()
  for (let i = 0; i < 5; i++) refuse(THROTTLED_REASON)
  audit.close()
  expect(lines()).toMatchObject([{ reason: THROTTLED_REASON }, { reason: THROTTLED_REASON, count: 4 }])
  refuse('wrong password')
  expect(lines()).toHaveLength(1)
  expect(vi.getTimerCount()).toBe(0)
})
