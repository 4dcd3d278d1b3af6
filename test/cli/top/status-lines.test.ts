import { expect, it } from 'vitest'
import { printable, printableJson } from '../../../src/cli/printable.ts'
import { statusLines } from '../../../src/cli/top/status-lines.ts'
import { busySnapshot, IDLE_SNAPSHOT, withoutNames } from '../../fixtures/status-snapshots.ts'

const WIDE = { columns: 300, rows: 20 }

it('shows parts with their fix, load, transfers, operations, refusals and changes', () => {
  const text = statusLines(busySnapshot(3), WIDE).join('\n')
  for (const part of ['registry-sidecar 1.2.3   NOT READY', 'fix: start the registry', 'team/web', 'alice'])
    expect(text).toContain(part)
  expect(statusLines(IDLE_SNAPSHOT, WIDE).join('\n')).toContain('Transfers: none')
})

it('shows no names of a snapshot without names', () => {
  expect(statusLines(withoutNames(busySnapshot(5)), WIDE).join('\n')).not.toMatch(/alice|team|192\.0\.2/)
})

it('fits into the terminal, and says how much is left out', () => {
  const lines = statusLines(busySnapshot(50), { columns: 60, rows: 4 })
  expect(Math.max(...lines.map(({ length }) => length))).toBeLessThanOrEqual(60)
  expect(lines.join('\n')).toContain('Pushes and pulls (46 more)')
})

it('escapes what a terminal would obey', () => {
  expect(printable('a\x1b[2Jb\u202ec\u009bd\ne')).toBe('a\\u{1b}[2Jb\\u{202e}c\\u{9b}d\\u{a}e')
  const names = { user: '\x1b]0;title\x07', repository: 'a\rb' }
  const [refusal] = busySnapshot(1).refusals
  if (refusal === undefined) throw new Error('the snapshot has no refusal')
  const lines = statusLines({ ...IDLE_SNAPSHOT, refusals: [{ ...refusal, names }] }, WIDE)
  for (const line of lines) expect(line).not.toMatch(/\p{Cc}/u)
  expect(lines.join()).toContain('\\u{1b}]0;title\\u{7}')
})

it('escapes the same characters in JSON, which stays the same document', () => {
  const names = { user: 'a\x7f\u009b\u202e\u{e0001}é', repository: 'b' }
  const json = printableJson(`${JSON.stringify(names)}\n`)
  expect(json).toBe('{"user":"a\\u007f\\u009b\\u202e\\udb40\\udc01é","repository":"b"}\n')
  expect(JSON.parse(json)).toEqual(names)
})
