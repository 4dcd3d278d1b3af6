// Tests the file that stores when machine passwords were used.

import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { compileRestriction } from '../../../src/access/restriction.ts'
import { createLastUsed, readLastUsed, type LastUsed } from '../../../src/users/machine-passwords/last-used.ts'
import type { MachinePassword } from '../../../src/users/user-table.ts'
import { recordedLog } from '../../fixtures/recorded-log.ts'
import { tempFolder } from '../../fixtures/temp-folder.ts'
import { until } from '../../fixtures/until.ts'

function passwordOf(id: string): MachinePassword {
  const restriction = compileRestriction({ allow: ['pull'], repositories: ['**'] })
  return { id, username: 'ci', label: '', validUntil: Infinity, restriction, line: 2 }
}

const PASSWORDS = new Map(['0000000a', '0000000b', '0000000c'].map((id) => [`digest of ${id}`, passwordOf(id)]))

function lastUsedIn(file: string, writeEveryMs = 60_000) {
  const { log, lines } = recordedLog()
  const lastUsed: LastUsed = createLastUsed({ file, log, current: () => PASSWORDS, writeEveryMs })
  onTestFinished(() => lastUsed.close())
  return { lastUsed, lines }
}

const newFile = (): string => path.join(tempFolder(), 'machine-passwords.json')

describe('the file', () => {
  it('is written at the end, with mode 0600 and without other passwords', async () => {
    const file = newFile()
    const { lastUsed } = lastUsedIn(file)
    const before = Date.now()
    lastUsed.note('0000000a')
    lastUsed.note('ffffffff')
    await lastUsed.close()
    const times = await readLastUsed(file)
    expect([...times.keys()]).toEqual(['0000000a'])
    expect(times.get('0000000a')).toBeGreaterThanOrEqual(before)
    expect(statSync(file).mode & 0o777).toBe(0o600)
  })

  it('is written while the sidecar runs, and not at each use', async () => {
    const file = newFile()
    const { lastUsed } = lastUsedIn(file, 50)
    for (let i = 0; i < 100; i++) lastUsed.note('0000000a')
    expect((await readLastUsed(file)).size).toBe(0)
    await until(async () => (await readLastUsed(file)).size === 1, { deadlineMs: 5_000, what: 'a write' })
  })

  it('is not written when nothing was used', async () => {
    const file = newFile()
    await lastUsedIn(file).lastUsed.close()
    expect(() => readFileSync(file)).toThrow('ENOENT')
  })

  it('keeps the times of another process, unless its own are later', async () => {
    const file = newFile()
    const later = new Date(Date.now() + 60_000).toISOString()
    writeFileSync(file, JSON.stringify({ '0000000a': later, '0000000b': '2026-01-31T12:00:00.000Z', gone: later }))
    const { lastUsed } = lastUsedIn(file)
    for (const id of ['0000000a', '0000000b', '0000000c']) lastUsed.note(id)
    await lastUsed.close()
    const times = await readLastUsed(file)
    expect([...times.keys()].toSorted()).toEqual(['0000000a', '0000000b', '0000000c'])
    expect(times.get('0000000a')).toBe(Date.parse(later))
    expect(times.get('0000000b')).toBeGreaterThan(Date.parse('2026-02-01T12:00:00.000Z'))
  })

  it.each(['', '{', '[1]', 'null', '"x"', '{"0000000a":1,"0000000b":"never"}'])(
    'is no problem when it is damaged: %s',
    async (text) => {
      const file = newFile()
      writeFileSync(file, text)
      expect((await readLastUsed(file)).size).toBe(0)
      const { lastUsed } = lastUsedIn(file)
      lastUsed.note('0000000a')
      await lastUsed.close()
      expect((await readLastUsed(file)).size).toBe(1)
    },
  )

  it('is reported once when it cannot be written', async () => {
    const file = newFile()
    mkdirSync(file)
    const { lastUsed, lines } = lastUsedIn(file)
    for (let i = 0; i < 2; i++) {
      lastUsed.note('0000000a')
      await lastUsed.close()
    }
    expect(lines).toMatchObject([{ file, msg: 'the last use of machine passwords cannot be stored' }])
  })
})
