// Tests old passwords that stay valid for a while: their lines, and how the parser and edits handle them.

import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { parseHtpasswd } from '../../src/users/htpasswd.ts'
import { hashesAt } from '../../src/users/user-table.ts'
import { bindingOf, formatKeptLine, parseKeptLine, type KeptLine } from '../../src/users/old-password-line.ts'
import { addEntry, assertChangeable, changeEntry, removeEntry } from '../../src/users/users-file.ts'
import { CommandError } from '../../src/errors/errors.ts'
import { tempFolder } from '../fixtures/temp-folder.ts'

const NOW = Date.parse('2026-01-31T12:00:00.000Z')
const MINUTE = 60_000
const hash = (letter: string, cost = '10'): string => `$2y$${cost}$${letter.repeat(53)}`
const [A, B, C] = [hash('a'), hash('b'), hash('c')]

function kept(changes: Partial<KeptLine> = {}): string {
  const usual = { username: 'alice', hash: A, validUntil: NOW + MINUTE, binding: bindingOf(B) }
  return formatKeptLine({ ...usual, ...changes })
}

const parse = (lines: readonly string[], now = NOW) =>
  parseHtpasswd(Buffer.from(lines.join('\n')), 'htpasswd', now)

describe('the line that keeps an old password', () => {
  it('is a comment with a fixed format, because files outlive versions', () => {
    expect(kept()).toBe(
      `#registry-sidecar keep-old v1 until 2026-01-31T12:01:00.000Z beside ${bindingOf(B)} ${A} alice`,
    )
    expect(bindingOf(B)).toMatch(/^[0-9a-f]{16}$/)
  })

  it.each([
    ['with blanks', 'alice  of wonder land'],
    ['in UTF-8', 'zoë 日本語 😀 voilà'],
    ['like a comment', 'a # b'],
    ['like a part of the line', `until 2026 beside ${A}`],
    ['of the greatest length', 'é'.repeat(127)],
  ])('preserves a name %s', (_what, username) => {
    const line = { username, hash: A, validUntil: NOW, binding: bindingOf(B) }
    for (const ending of ['', '\r', ' \t\r'])
      expect(parseKeptLine(formatKeptLine(line) + ending)).toEqual({ kind: 'kept', ...line })
  })

  it.each([
    ['an entry', `alice:${A}`],
    ['a comment', '# team'],
    ['a comment about this program', '#registry-sidecar reads this'],
    ['a comment with a similar beginning', '#registry-sidecar keep-older'],
    ['an indented line', ` ${kept()}`],
    ['nothing', ''],
  ])('is not confused with %s', (_what, line) => {
    expect(parseKeptLine(line)).toEqual({ kind: 'other' })
  })

  it.each<[what: string, line: string, reason: RegExp]>([
    ['cut short', kept().slice(0, 60), /damaged; remove it/],
    ['without its name', kept().replace(/ alice$/, ''), /damaged/],
    ['without anything', '#registry-sidecar keep-old', /damaged/],
    ['with an invalid time', kept().replace('2026-01', '2026-13'), /damaged/],
    ['with a time without a zone', kept().replace('000Z', '000'), /damaged/],
    ['with an invalid name', kept({ username: 'a:b' }), /damaged/],
    ['of another version', kept().replace('v1', 'v2'), /format v2, which only a newer version reads/],
  ])('is a problem when it is %s', (_what, line, reason) => {
    const { entries, problems } = parse([`alice:${B}`, line])
    expect(entries.get('alice')?.previous).toEqual([])
    expect(problems).toEqual([
      { line: 2, kind: 'unusable old password', reason: expect.stringMatching(reason) as string },
    ])
    expect(JSON.stringify(problems)).not.toContain('aaaa')
  })
})

describe('an old password is', () => {
  it.each([
    ['behind its entry', [`alice:${B}`, kept(), `bob:${C}`]],
    ['before it', [kept(), `bob:${C}`, `alice:${B}`]],
    ['behind an unusable line of that name', ['alice:hunter2', kept(), `alice:${B}`]],
  ])('valid besides the entry: %s', (_what, lines) => {
    const { entries } = parse(lines)
    expect(entries.get('alice')).toMatchObject({
      hash: B,
      previous: [{ hash: A, cost: 10, validUntil: NOW + MINUTE, line: lines.indexOf(kept()) + 1 }],
    })
    expect(entries.get('bob')?.previous ?? []).toEqual([])
  })

  it('valid to the millisecond, even if the file is not read again', () => {
    const table = parse([`alice:${B}`, kept()])
    const entry = table.entries.get('alice')
    const hashes = (time: number) => (entry === undefined ? [] : hashesAt(entry, time))
    expect(hashes(NOW + MINUTE - 1)).toEqual([B, A])
    expect(hashes(NOW + MINUTE)).toEqual([B])
  })

  it('left out without a problem after its time', () => {
    const table = parse([`alice:${B}`, kept({ hash: 'plain', validUntil: NOW })])
    expect(table.problems).toEqual([])
    expect(table.entries.get('alice')?.previous).toEqual([])
    expect(table.dummyHashes).toHaveLength(1)
  })

  it.each<[what: string, lines: readonly string[], reason: RegExp]>([
    ['its entry was changed by another tool', [kept(), `alice:${C}`], /by other means than `user passwd`/],
    ['its entry is missing', [kept(), `bob:${C}`], /kept for alice lets nobody in/],
    ['its entry has another kind of hash', [kept(), 'alice:{SHA}hunter2', `bob:${C}`], /lets nobody in/],
    ['it belongs to another name', [kept({ username: 'alic' }), `alice:${B}`], /kept for alic lets nobody in/],
    ['it has another kind of hash', [kept({ hash: '$apr1$aaaa' }), `alice:${B}`], /has Apache MD5/],
    ['it is plain text', [kept({ hash: 'aaaahunter2' }), `alice:${B}`], /has plain text/],
    ['its cost is too high', [kept({ hash: hash('a', '31') }), `alice:${B}`], /cost 31, over 15/],
  ])('not valid, and a problem, when %s', (_what, lines, reason) => {
    const { entries, problems, dummyHashes } = parse(lines)
    expect([...entries.values()].every(({ previous }) => previous.length === 0)).toBe(true)
    expect(problems.filter(({ line }) => line === 1)).toEqual([
      { line: 1, kind: 'unusable old password', reason: expect.stringMatching(reason) as string },
    ])
    expect(JSON.stringify(problems)).not.toMatch(/aaaa|hunter2/)
    expect(dummyHashes).toHaveLength(1)
  })

  it('one of at most four', () => {
    const lines = Array.from({ length: 6 }, (_, index) => kept({ hash: hash(String(index)) }))
    const { entries, problems } = parse([`alice:${B}`, ...lines])
    expect(entries.get('alice')?.previous.map((old) => old.line)).toEqual([2, 3, 4, 5])
    expect(problems.map(({ line }) => line)).toEqual([6, 7])
  })

  it('not a usable entry, so another tool can remove the last user', () => {
    expect(parse([kept(), '#registry-sidecar keep-old damaged']).entries.size).toBe(0)
  })
})

function usersFile(...lines: readonly string[]): string {
  const file = path.join(tempFolder(), 'htpasswd')
  writeFileSync(file, lines.map((line) => `${line}\n`).join(''))
  return file
}

const linesOf = (file: string): readonly string[] => readFileSync(file, 'utf8').split('\n')
const change = (file: string, newHash: string, keepOldUntil?: number, now = NOW): Promise<unknown> =>
  changeEntry(file, { username: 'alice', hash: newHash, keepOldUntil }, now)

describe('a change that keeps the old password', () => {
  it('writes it behind the entry, and nothing else', async () => {
    const file = usersFile('# team', `alice:${A}`, `bob:${C}`)
    await change(file, B, NOW + MINUTE)
    expect(linesOf(file)).toEqual(['# team', `alice:${B}`, kept(), `bob:${C}`, ''])
  })

  it.each([
    ['CRLF', `alice:${A}\r\nbob:${C}\r\n`, `alice:${B}\r\n${kept()}\r\nbob:${C}\r\n`],
    ['no line feed at the end', `bob:${C}\nalice:${A}`, `bob:${C}\nalice:${B}\n${kept()}`],
    ['CRLF, but none at the end', `bob:${C}\r\nalice:${A}`, `bob:${C}\r\nalice:${B}\r\n${kept()}`],
  ])('keeps the style of the file: %s', async (_what, before, after) => {
    const file = usersFile()
    writeFileSync(file, before)
    await change(file, B, NOW + MINUTE)
    expect(readFileSync(file, 'utf8')).toBe(after)
  })

  it('keeps a name with a last byte that is a blank in Latin-1', async () => {
    const file = usersFile()
    writeFileSync(file, `voilà:${A}`)
    await changeEntry(file, { username: 'voilà', hash: B, keepOldUntil: NOW + 1 }, NOW)
    const table = parse(linesOf(file))
    expect(table.problems).toEqual([])
    expect(table.entries.get('voilà')?.previous).toHaveLength(1)
  })

  it('keeps older passwords until their own times, bound to the new entry', async () => {
    const file = usersFile(`alice:${A}`)
    await change(file, B, NOW + MINUTE)
    await change(file, C, NOW + 9 * MINUTE, NOW + 1)
    expect(linesOf(file)).toEqual([
      `alice:${C}`,
      kept({ hash: B, validUntil: NOW + 9 * MINUTE, binding: bindingOf(C) }),
      kept({ hash: A, validUntil: NOW + MINUTE, binding: bindingOf(C) }),
      '',
    ])
  })

  it('removes expired passwords, and those that were not valid', async () => {
    const dead = kept({ hash: hash('d'), binding: bindingOf(A) })
    const file = usersFile(`alice:${B}`, kept(), dead)
    await change(file, C, NOW + 9 * MINUTE, NOW + MINUTE)
    expect(linesOf(file)).toEqual([
      `alice:${C}`,
      kept({ hash: B, validUntil: NOW + 9 * MINUTE, binding: bindingOf(C) }),
      '',
    ])
  })

  it('keeps the valid password, not an unusable line of the name', async () => {
    const file = usersFile('alice:$apr1$x', `alice:${A}`)
    await change(file, B, NOW + MINUTE)
    expect(parse(linesOf(file)).entries.get('alice')).toMatchObject({ hash: B, previous: [{ hash: A }] })
  })

  it.each<[what: string, lines: readonly string[], message: RegExp]>([
    [
      'there is no password to keep',
      ['alice:$apr1$x', `bob:${C}`],
      /no usable password .*leave out --keep-old/,
    ],
    ['the whole file has no usable password', ['alice:hunter2'], /no usable password/],
    [
      'four are valid already',
      [`alice:${B}`, ...'1234'.split('').map((digit) => kept({ hash: hash(digit) }))],
      /4 old passwords already .* or wait until 2026-01-31T12:01:00.000Z/,
    ],
  ])('is refused, also before it asks for a password, when %s', async (_what, lines, message) => {
    const file = usersFile(...lines)
    for (const attempt of [
      () => change(file, C, NOW + 1),
      () => assertChangeable(file, { username: 'alice', keepOldUntil: NOW + 1 }, NOW),
    ]) {
      const failure = attempt()
      await expect(failure).rejects.toThrow(CommandError)
      await expect(failure).rejects.toThrow(message)
    }
    expect(linesOf(file)).toEqual([...lines, ''])
  })
})

describe('an old password is removed', () => {
  const others = kept({ username: 'bob', binding: bindingOf(C) })
  const before = [`alice:${B}`, kept(), `bob:${C}`, others] as const

  it('by a change that keeps nothing', async () => {
    const file = usersFile(...before)
    await change(file, C)
    expect(linesOf(file)).toEqual([`alice:${C}`, `bob:${C}`, others, ''])
  })

  it('with its user, also in another place of the file', async () => {
    const file = usersFile(kept(), `bob:${C}`, others, `alice:${B}`)
    await removeEntry(file, 'alice', NOW)
    expect(linesOf(file)).toEqual([`bob:${C}`, others, ''])
  })

  it('with the last user, and then the file is empty', async () => {
    const file = usersFile(`alice:${B}`, kept())
    await removeEntry(file, 'alice', NOW)
    expect(readFileSync(file, 'utf8')).toBe('')
  })

  it('before a new user with that name is added', async () => {
    const file = usersFile(kept(), `bob:${C}`)
    await addEntry(file, { username: 'alice', hash: B }, NOW)
    expect(linesOf(file)).toEqual([`bob:${C}`, `alice:${B}`, ''])
  })

  it('by an edit of any user after its time', async () => {
    const file = usersFile(...before, '# team', '#registry-sidecar keep-old damaged')
    await addEntry(file, { username: 'carol', hash: A }, NOW + MINUTE)
    expect(linesOf(file)).toEqual([
      `alice:${B}`,
      `bob:${C}`,
      '# team',
      '#registry-sidecar keep-old damaged',
      `carol:${A}`,
      '',
    ])
  })
})
