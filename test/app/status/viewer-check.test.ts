import { expect, it, onTestFinished, vi } from 'vitest'
import { createViewerCheck } from '../../../src/app/status/viewer-check.ts'
import type { Entry, UserTable } from '../../../src/users/user-table.ts'

const HOUR_MS = 3_600_000

it('ends a watch when its token has expired', () => {
  const clock = vi.spyOn(Date, 'now').mockReturnValue(0)
  onTestFinished(() => {
    clock.mockRestore()
  })
  const alice: Entry = { username: 'alice', hash: 'hash', cost: 4, line: 1, previous: [] }
  const table: UserTable = {
    entries: new Map([['alice', alice]]),
    machinePasswords: new Map(),
    problems: [],
    dummyHashes: [],
  }
  const mayWatch = createViewerCheck(() => ({ table, rules: undefined }))({
    subject: { kind: 'user', username: 'alice' },
    machinePassword: undefined,
    isOldPassword: false,
    tokenValidUntil: HOUR_MS,
  })
  clock.mockReturnValue(HOUR_MS - 1)
  expect(mayWatch()).toBe(true)
  clock.mockReturnValue(HOUR_MS)
  expect(mayWatch()).toBe(false)
})
