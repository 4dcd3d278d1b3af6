// Tests that a wrong password sent twice in a row counts once.

import { expect, it } from 'vitest'
import { createRepeatedFailures } from '../../src/auth/repeated-failures.ts'

const WRONG = { username: 'alice', password: 'wrong horse' }
const SOURCE = '192.0.2.1'

function failuresAt() {
  const state = { ms: 1_000, table: {} }
  const failures = createRepeatedFailures({ table: () => state.table, now: () => state.ms })
  return { state, failures }
}

it('is recognized the second time, and not before a refusal', () => {
  const { failures } = failuresAt()
  expect(failures.isSecond(WRONG, SOURCE)).toBe(false)
  failures.refused(WRONG, SOURCE)
  expect(failures.isSecond(WRONG, SOURCE)).toBe(true)
})

it('counts again the third time, so that a client that repeats one password is throttled', () => {
  const { failures } = failuresAt()
  failures.refused(WRONG, SOURCE)
  expect(failures.isSecond(WRONG, SOURCE)).toBe(true)
  expect(failures.isSecond(WRONG, SOURCE)).toBe(false)
})

it.each([
  ['another password', { ...WRONG, password: 'wrong horsf' }, SOURCE],
  ['another user', { ...WRONG, username: 'bob' }, SOURCE],
  ['another source', WRONG, '192.0.2.2'],
  ['a shifted border between name and password', { username: 'alicew', password: 'rong horse' }, SOURCE],
])('does not cover %s', (_what, credentials, source) => {
  const { failures } = failuresAt()
  failures.refused(WRONG, SOURCE)
  expect(failures.isSecond(credentials, source)).toBe(false)
})

it('ends after five seconds', () => {
  const { failures, state } = failuresAt()
  failures.refused(WRONG, SOURCE)
  state.ms += 5_000
  expect(failures.isSecond(WRONG, SOURCE)).toBe(false)
})

it('ends when the users change, because the password may be right now', () => {
  const { failures, state } = failuresAt()
  failures.refused(WRONG, SOURCE)
  state.table = {}
  expect(failures.isSecond(WRONG, SOURCE)).toBe(false)
})
