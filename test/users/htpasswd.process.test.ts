// Tests that our parser reads the files of the htpasswd program.

import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import compare from '../../src/auth/bcrypt.ts'
import { parseHtpasswd } from '../../src/users/htpasswd.ts'
import type { UserTable } from '../../src/users/user-table.ts'
import { findProgram } from '../fixtures/find-program.ts'
import { tempFolder } from '../fixtures/temp-folder.ts'

const parse = (text: string | Buffer): UserTable => parseHtpasswd(Buffer.from(text), 'users/htpasswd')
const htpasswd = findProgram('htpasswd')

describe.skipIf(htpasswd === undefined)('the htpasswd program of Apache', () => {
  it.each([
    ['its default cost', []],
    ['another cost', ['-C', '7']],
  ])('writes entries that verify here, with %s', (_what, flags) => {
    const file = path.join(tempFolder(), 'htpasswd')
    for (const [name, password] of [
      ['alice', 'correct horse'],
      ['zoë', 'pässwörd€'],
    ] as const) {
      const create = name === 'alice' ? ['-c'] : []
      const run = spawnSync(htpasswd ?? '', [...create, '-bB', ...flags, file, name, password])
      expect(run.status).toBe(0)
    }
    const { entries, problems } = parse(readFileSync(file))
    expect(problems).toEqual([])
    const matches = (name: string, password: string): boolean =>
      compare({ password, hashes: [entries.get(name)?.hash ?? ''], dummyHashes: [] }) === 0
    expect(matches('alice', 'correct horse')).toBe(true)
    expect(matches('alice', 'Correct horse')).toBe(false)
    expect(matches('zoë', 'pässwörd€')).toBe(true)
  })

  it('writes other kinds of hashes, and our problems name them', () => {
    const file = path.join(tempFolder(), 'htpasswd')
    for (const [name, flags] of [
      ['m', '-cbm'],
      ['s', '-bs'],
      ['d', '-bd'],
      ['p', '-bp'],
      ['f', '-b5'],
      ['b', '-bB'],
    ] as const) {
      expect(spawnSync(htpasswd ?? '', [flags, file, name, 'hunter2']).status).toBe(0)
    }
    const table = parse(readFileSync(file))
    expect([...table.entries.keys()]).toEqual(['b'])
    const found = table.problems.map(({ reason }) => / has (.*), which is not taken/.exec(reason)?.[1])
    expect(found).toEqual([
      'Apache MD5 ($apr1$)',
      'SHA-1 ({SHA})',
      'crypt, or plain text',
      'plain text, or an unknown kind of hash',
      'SHA-512 ($6$)',
    ])
  })
})
