// Tests the lines of machine passwords: reading, binding and editing.

import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { parseHtpasswd } from '../../../src/users/htpasswd.ts'
import { MAX_PER_USER, type NewMachinePassword } from '../../../src/users/machine-passwords/machine-password-edits.ts'
import {
  formatMachineLine,
  labelProblem,
  parseMachineLine,
  type MachinePasswordLine,
} from '../../../src/users/machine-passwords/machine-password-line.ts'
import {
  createMachinePassword,
  createMachinePasswordId,
  isMachinePassword,
  machinePasswordDigest,
} from '../../../src/users/machine-passwords/machine-secret.ts'
import { bindingOf } from '../../../src/users/old-password-line.ts'
import {
  addEntry,
  addMachinePassword,
  changeEntry,
  removeEntry,
  removeMachinePassword,
} from '../../../src/users/users-file.ts'
import { tempFolder } from '../../fixtures/temp-folder.ts'

const NOW = Date.parse('2026-01-31T12:00:00.000Z')
const DAY = 86_400_000
const hash = (letter: string): string => `$2y$10$${letter.repeat(53)}`
const [A, B, C] = [hash('a'), hash('b'), hash('c')]
const digest = (letter: string): string => letter.repeat(64)

const ADDED: NewMachinePassword = {
  id: '3f9a21bc',
  username: 'alice',
  digest: digest('d'),
  validUntil: NOW + DAY,
  restriction: { allow: ['pull', 'push'], repositories: ['team/**', 'base'] },
  label: 'cluster 1',
}
const LINE: MachinePasswordLine = { ...ADDED, kind: 'machine', binding: bindingOf(A) }
const line = (changes: Partial<MachinePasswordLine> = {}): string => formatMachineLine({ ...LINE, ...changes })
const parse = (lines: readonly string[]) => parseHtpasswd(Buffer.from(lines.join('\n')), 'htpasswd', NOW)
const idsIn = (lines: readonly string[]): readonly string[] =>
  Array.from(parse(lines).machinePasswords.values(), ({ id }) => id)

describe('a machine password', () => {
  it('has 256 random bits and a form of its own', () => {
    const passwords = Array.from({ length: 100 }, createMachinePassword)
    expect(new Set(passwords).size).toBe(100)
    expect(passwords.every((password) => /^rst_[A-Za-z0-9_-]{43}$/.test(password))).toBe(true)
    expect(passwords.every(isMachinePassword)).toBe(true)
    expect(createMachinePasswordId()).toMatch(/^[0-9a-f]{8}$/)
  })

  it.each(['rst_', `rst_${'a'.repeat(42)}`, `rst_${'a'.repeat(44)}`, `RST_${'a'.repeat(43)}`, `rst_${'a'.repeat(43)}\n`])(
    'is not %j, so a password may begin with rst_',
    (password) => {
      expect(isMachinePassword(password)).toBe(false)
    },
  )

  it('is no username, because an unknown name in the wrong field would be stored and logged', () => {
    expect(parse([`${createMachinePassword()}:${A}`, `alice:${A}`]).problems).toMatchObject([
      { line: 1, kind: 'invalid name', reason: 'the name looks like a machine password' },
    ])
  })
})

describe('a line', () => {
  it('has this form', () => {
    expect(line()).toBe(
      `#registry-sidecar token v1 3f9a21bc until 2026-02-01T12:00:00.000Z beside ${bindingOf(A)} ` +
        `sha256 ${digest('d')} allow pull,push in team/**,base label "cluster 1" alice`,
    )
  })

  it.each<[what: string, changes: Partial<MachinePasswordLine>]>([
    ['a name with blanks', { username: 'zoë of x' }],
    ['a name with the words of the line', { username: 'label "x" alice' }],
    ['a name with two quotes', { username: '"" ""' }],
    ['a label with quotes and backslashes', { label: 'a "b" \\ c\\" d' }],
    ['a label with the words of the line', { label: 'x" alice label "y' }],
    ['no label', { label: '' }],
    ['a label of another script', { label: 'кластер 集群 🚀' }],
    ['every action', { restriction: { allow: ['pull', 'push', 'delete', 'catalog', 'status'], repositories: ['**'] } }],
  ])('preserves %s, with any line ending', (_what, changes) => {
    for (const ending of ['', '\r', ' \t\r'])
      expect(parseMachineLine(line(changes) + ending)).toEqual({ ...LINE, ...changes })
  })

  it.each([`alice:${A}`, '# team', '#registry-sidecar keep-old', '#registry-sidecar tokens', ` ${line()}`, ''])(
    'is not confused with another line: %s',
    (text) => {
      expect(parseMachineLine(text)).toEqual({ kind: 'other' })
    },
  )

  it.each<[what: string, text: string, reason: RegExp]>([
    ['cut short', line().slice(0, 140), /damaged; remove it/],
    ['without its name', line().replace(/ alice$/, ''), /damaged/],
    ['without anything', '#registry-sidecar token', /damaged/],
    ['with an invalid time', line().replace('2026-02', '2026-13'), /damaged/],
    ['with a digest that is too short', line().replace('ddd', 'dd'), /damaged/],
    ['with an id that is too long', line({ id: '3f9a21bc0' }), /damaged/],
    ['with an action of another version', line().replace('pull,push', 'pull,admin'), /damaged/],
    ['with a damaged pattern', line().replace('team/**', 'team**'), /damaged/],
    ['with a label that is not quoted', line().replaceAll('"', "'"), /damaged/],
    ['with a line feed in its label', line().replace('cluster 1', 'a\\nb'), /damaged/],
    ['with an invalid name', line({ username: 'a:b' }), /damaged/],
    ['of another version', line().replace('v1', 'v2'), /format v2, which only a newer version reads/],
  ])('is a problem when it is %s, and the problem repeats nothing of it', (_what, text, reason) => {
    const { machinePasswords, problems } = parse([`alice:${A}`, text])
    expect(machinePasswords.size).toBe(0)
    expect(problems).toEqual([
      { line: 2, kind: 'unusable machine password', reason: expect.stringMatching(reason) as string },
    ])
    expect(JSON.stringify(problems)).not.toMatch(/ddd|3f9a/)
  })

  it.each<[what: string, lines: readonly string[], at: number, reason: RegExp]>([
    ['its entry was changed by another tool', [`alice:${B}`, line()], 2, /by other means than `user passwd`/],
    ['its entry is missing', [line(), `bob:${A}`], 1, /of alice lets nobody in/],
    ['its entry is unusable', [line(), 'alice:{SHA}x', `bob:${A}`], 1, /of alice lets nobody in/],
    ['it belongs to the same name in capitals', [line({ username: 'Alice' }), `alice:${A}`], 1, /of Alice lets/],
    ['its id is there already', [`alice:${A}`, line(), line({ digest: digest('e') })], 3, /id of an earlier line/],
    ['its secret is there already', [`alice:${A}`, line(), line({ id: '00000000' })], 3, /secret of 3f9a21bc/],
  ])('does not count when %s', (_what, lines, at, reason) => {
    const { machinePasswords, problems } = parse(lines)
    expect([...machinePasswords.values()].filter((one) => one.line === at)).toEqual([])
    expect(problems.filter((problem) => problem.line === at)).toEqual([
      { line: at, kind: 'unusable machine password', reason: expect.stringMatching(reason) as string },
    ])
    expect(JSON.stringify(problems)).not.toContain('ddd')
  })

  it('may stand before its entry, and expired ones stay known', () => {
    const { machinePasswords } = parse([line({ validUntil: NOW - DAY }), `alice:${A}`])
    expect(machinePasswords.get(digest('d'))).toMatchObject({ id: '3f9a21bc', username: 'alice', line: 1 })
  })

  it('is not a usable entry, so another tool can remove the last user', () => {
    expect(parse([line()]).entries.size).toBe(0)
  })

  it('is one of a thousand, which are read at once', () => {
    const lines = Array.from({ length: 1_000 }, (_, i) => {
      const id = i.toString(16).padStart(8, '0')
      return line({ id, digest: machinePasswordDigest(id) })
    })
    const start = performance.now()
    expect(parse([...lines, `alice:${A}`]).machinePasswords.size).toBe(1_000)
    expect(performance.now() - start).toBeLessThan(2_000)
  })
})

describe('a label', () => {
  it.each(['line\nfeed', 'tab\t', 'escape \x1b[31m', 'nul\0', 'c1 \x9b', 'left \u202e', 'separator \u2028'])(
    'is refused with a control character: %j',
    (label) => {
      expect(labelProblem(label)).toBe('the label holds a control character')
    },
  )

  it('has at most 64 characters', () => {
    expect(labelProblem('x'.repeat(64))).toBeUndefined()
    expect(labelProblem('x'.repeat(65))).toMatch(/longer than 64/)
  })
})

const linesOf = (file: string): readonly string[] => readFileSync(file, 'utf8').split('\n')

function usersFile(text: string): string {
  const file = path.join(tempFolder(), 'htpasswd')
  writeFileSync(file, text)
  return file
}

const add = (file: string, changes: Partial<NewMachinePassword> = {}): Promise<void> =>
  addMachinePassword(file, { ...ADDED, ...changes }, NOW)

describe('adding', () => {
  it.each([
    ['a usual file', `# team\nalice:${A}\nbob:${B}\n`, `# team\nalice:${A}\n${line()}\nbob:${B}\n`],
    ['CRLF', `alice:${A}\r\nbob:${B}\r\n`, `alice:${A}\r\n${line()}\r\nbob:${B}\r\n`],
    ['no line feed at the end', `bob:${B}\nalice:${A}`, `bob:${B}\nalice:${A}\n${line()}\n`],
    ['a byte order mark', `\ufeffalice:${A}\n`, `\ufeffalice:${A}\n${line()}\n`],
    ['an unusable first line', `alice:$apr1$x\nalice:${A}\n`, `alice:$apr1$x\nalice:${A}\n${line()}\n`],
  ])('writes one line behind the entry in %s', async (_what, before, after) => {
    const file = usersFile(before)
    await add(file)
    expect(readFileSync(file, 'utf8')).toBe(after)
  })

  it.each<[what: string, text: string, message: RegExp]>([
    ['an unknown user', `bob:${B}\n`, /there is no alice in .*; use `user add`/],
    ['the same name in capitals', `Alice:${B}\n`, /there is no alice/],
    ['an unusable entry', `alice:$apr1$x\nbob:${B}\n`, /the entry of alice in .* is unusable/],
    ['an id that is in use', `alice:${A}\n${line()}\n`, /in use; run the command again/],
  ])('is refused for %s', async (_what, text, message) => {
    const file = usersFile(text)
    await expect(add(file)).rejects.toThrow(message)
    expect(readFileSync(file, 'utf8')).toBe(text)
  })

  it('is refused beyond the limit of valid ones, which expired ones do not use up', async () => {
    const made = (i: number, validUntil: number): string =>
      line({ id: i.toString(16).padStart(8, '0'), digest: machinePasswordDigest(`${i}`), validUntil })
    const full = Array.from({ length: MAX_PER_USER }, (_, i) => made(i, NOW + DAY))
    const file = usersFile([`alice:${A}`, ...full, ''].join('\n'))
    await expect(add(file)).rejects.toThrow(/alice has 100 machine passwords already, .* `user token revoke ID`/)
    const [first = '', ...rest] = full
    writeFileSync(file, [`alice:${A}`, first.replace('2026-02-01', '2026-01-30'), ...rest, ''].join('\n'))
    await add(file)
    expect(idsIn(linesOf(file))).toContain(LINE.id)
  })
})

describe('revoking', () => {
  const FILE = [`alice:${A}`, line(), line({ id: '00000001', digest: digest('e') }), `bob:${B}`, ''].join('\n')

  it('removes one line', async () => {
    const file = usersFile(FILE)
    await removeMachinePassword(file, LINE.id, NOW)
    expect(linesOf(file)).toEqual(linesOf(usersFile(FILE.replace(`${line()}\n`, ''))))
  })

  it('also removes copies of the line, which would take effect then', async () => {
    const copy = line({ id: 'ffffffff', restriction: { allow: ['delete'], repositories: ['**'] } })
    const file = usersFile(`${FILE}${copy}\n${line()}\n`)
    await removeMachinePassword(file, LINE.id, NOW)
    expect(idsIn(linesOf(file))).toEqual(['00000001'])
    expect(readFileSync(file, 'utf8')).not.toContain(digest('d'))
  })

  it('is refused for an unknown id', async () => {
    await expect(removeMachinePassword(usersFile(FILE), 'abababab', NOW)).rejects.toThrow(/no machine password abab/)
  })
})

describe('the lines of a user', () => {
  const bob = line({ id: '0000000b', digest: digest('b'), username: 'bob', binding: bindingOf(B) })
  const capital = line({ id: '0000000c', digest: digest('c'), username: 'Alice', binding: bindingOf(C) })
  const OTHERS = [`bob:${B}`, bob, `Alice:${C}`, capital]
  const FILE = [`alice:${A}`, line(), ...OTHERS, ''].join('\n')

  it('stay valid when `user passwd` changes the password, even with --keep-old', async () => {
    for (const keepOldUntil of [undefined, NOW + DAY]) {
      const file = usersFile(FILE)
      expect(await changeEntry(file, { username: 'alice', hash: B, keepOldUntil }, NOW)).toBe(1)
      expect(idsIn(linesOf(file))).toEqual(['3f9a21bc', '0000000b', '0000000c'])
      expect(linesOf(file)).toContain(line({ binding: bindingOf(B) }))
      expect(linesOf(file)).toEqual(expect.arrayContaining(OTHERS))
      expect(parse(linesOf(file)).problems).toEqual([])
    }
  })

  it('go when `user passwd` revokes them', async () => {
    const file = usersFile(FILE)
    expect(await changeEntry(file, { username: 'alice', hash: B, revokesTokens: true }, NOW)).toBe(0)
    expect(linesOf(file)).toEqual([`alice:${B}`, ...OTHERS, ''])
  })

  it('are not valid again when another tool had ended them', async () => {
    const file = usersFile(FILE.replace(A, hash('x')))
    expect(await changeEntry(file, { username: 'alice', hash: A }, NOW)).toBe(0)
    expect(linesOf(file)).toEqual([`alice:${A}`, ...OTHERS, ''])
  })

  it('go with the user, also if another tool removed the user before', async () => {
    const file = usersFile(FILE)
    await removeEntry(file, 'alice', NOW)
    expect(linesOf(file)).toEqual([...OTHERS, ''])
    const left = usersFile([line(), ...OTHERS, ''].join('\n'))
    await addEntry(left, { username: 'alice', hash: A }, NOW)
    expect(linesOf(left)).toEqual([...OTHERS, `alice:${A}`, ''])
  })

  it('go a week after they expired, at the next edit', async () => {
    for (const [age, ids] of [
      [7 * DAY - 1, ['3f9a21bc']],
      [7 * DAY, []],
    ] as const) {
      const file = usersFile(`alice:${A}\n${line({ validUntil: NOW - age })}\n`)
      await addEntry(file, { username: 'carol', hash: B }, NOW)
      expect(idsIn(linesOf(file))).toEqual(ids)
    }
  })
})
