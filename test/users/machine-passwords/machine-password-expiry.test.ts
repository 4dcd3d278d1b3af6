// Tests when the log names machine passwords that end.

import { describe, expect, it, onTestFinished } from 'vitest'
import { compileRestriction } from '../../../src/access/restriction.ts'
import { startExpiryLog } from '../../../src/users/machine-passwords/machine-password-expiry.ts'
import type { MachinePassword } from '../../../src/users/user-table.ts'
import { recordedLog } from '../../fixtures/recorded-log.ts'

const NOW = Date.parse('2026-01-31T12:00:00.000Z')
const HOUR = 3_600_000
const DAY = 24 * HOUR

function passwordUntil(validUntil: number, id = '3f9a21bc'): MachinePassword {
  const restriction = compileRestriction({ allow: ['pull'], repositories: ['**'] })
  return { id, username: 'ci', label: 'cluster-1', validUntil, restriction, line: 2 }
}

function logOver(...passwords: readonly MachinePassword[]) {
  const state = { now: NOW, passwords }
  const { log, lines } = recordedLog()
  const expiry = startExpiryLog({
    file: 'htpasswd',
    current: () => new Map(state.passwords.map((one) => [`digest of ${one.id}`, one])),
    log,
    now: () => state.now,
  })
  onTestFinished(() => {
    expiry.close()
  })
  return {
    state,
    lines,
    /** Looks at this time, and returns the new messages. */
    at: (time: number): readonly unknown[] => {
      const before = lines.length
      state.now = time
      expiry.look()
      return lines.slice(before).map(({ msg }) => msg)
    },
  }
}

const SOON = 'a machine password ends soon'
const ENDED = 'a machine password has ended'

describe('a machine password', () => {
  it('is logged once a day in its last week, and once when it has ended', () => {
    const end = NOW + 30 * DAY
    const { at } = logOver(passwordUntil(end))
    expect(at(end - 7 * DAY - 1)).toEqual([])
    expect(at(end - 7 * DAY)).toEqual([SOON])
    expect(at(end - 7 * DAY + HOUR)).toEqual([])
    expect(at(end - 6 * DAY - 1)).toEqual([])
    expect(at(end - 6 * DAY)).toEqual([SOON])
    expect(at(end - 1)).toEqual([SOON])
    expect(at(end)).toEqual([ENDED])
    expect(at(end + HOUR)).toEqual([])
    expect(at(end + 7 * DAY)).toEqual([])
  })

  it('is named by file, line, id, user and label, with a hint', () => {
    const { lines } = logOver(passwordUntil(NOW + DAY))
    expect(lines).toMatchObject([
      { file: 'htpasswd', line: 2, id: '3f9a21bc', user: 'ci', label: 'cluster-1', msg: SOON },
    ])
    expect(lines[0]).toMatchObject({
      validUntil: '2026-02-01T12:00:00.000Z',
      hint: expect.stringMatching(/user token add/) as string,
    })
    expect(JSON.stringify(lines)).not.toContain('digest')
  })

  it('is logged again after the clock was set back, and not lost after a jump ahead', () => {
    const end = NOW + 2 * DAY
    const { at } = logOver(passwordUntil(end))
    expect(at(end + DAY)).toEqual([ENDED])
    expect(at(end - HOUR)).toEqual([SOON])
    expect(at(end - 2 * HOUR)).toEqual([SOON])
    expect(at(end)).toEqual([ENDED])
  })

  it('is not logged when it ended more than a week before the start', () => {
    expect(logOver(passwordUntil(NOW - 7 * DAY)).lines).toEqual([])
  })

  it('is one of twenty in the log, and the others are counted', () => {
    const all = Array.from({ length: 1_000 }, (_, i) => passwordUntil(NOW + DAY, String(i)))
    const { lines } = logOver(...all)
    expect(lines).toHaveLength(21)
    expect(lines.at(-1)).toMatchObject({ more: 980, msg: 'more machine passwords end soon or have ended' })
  })
})
