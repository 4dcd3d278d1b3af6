// Tests the htpasswd program on a users file that keeps old passwords.

import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { hashSync } from 'bcryptjs'
import { describe, expect, it } from 'vitest'
import { parseHtpasswd } from '../../src/users/htpasswd.ts'
import { changeEntry } from '../../src/users/users-file.ts'
import { findProgram } from '../fixtures/find-program.ts'
import { tempFolder } from '../fixtures/temp-folder.ts'

const NOW = Date.parse('2026-01-31T12:00:00.000Z')
const MINUTE = 60_000
const hash = (letter: string): string => `$2y$10$${letter.repeat(53)}`
const [B, C] = [hash('b'), hash('c')]

const parse = (lines: readonly string[]) => parseHtpasswd(Buffer.from(lines.join('\n')), 'htpasswd', NOW)

function usersFile(...lines: readonly string[]): string {
  const file = path.join(tempFolder(), 'htpasswd')
  writeFileSync(file, lines.map((line) => `${line}\n`).join(''))
  return file
}

const linesOf = (file: string): readonly string[] => readFileSync(file, 'utf8').split('\n')

const htpasswd = findProgram('htpasswd')

describe.skipIf(htpasswd === undefined)('the htpasswd program of Apache', () => {
  const [first, second] = [hashSync('first', 4), hashSync('second', 4)]
  const run = (...args: readonly string[]) => spawnSync(htpasswd ?? '', args).status

  async function rotated(): Promise<string> {
    const file = usersFile(`alice:${first}`, `zoë of x:${C}`)
    await changeEntry(file, { username: 'alice', hash: second, keepOldUntil: NOW + MINUTE }, NOW)
    await changeEntry(file, { username: 'zoë of x', hash: B, keepOldUntil: NOW + MINUTE }, NOW)
    return file
  }

  it('verifies the new password and not the old one', async () => {
    const file = await rotated()
    expect(run('-vb', file, 'alice', 'second')).toBe(0)
    expect(run('-vb', file, 'alice', 'first')).toBe(3)
  })

  it('keeps unknown lines when it adds another user', async () => {
    const file = await rotated()
    const before = linesOf(file)
    expect(run('-bB', file, 'bob', 'x')).toBe(0)
    expect(linesOf(file).slice(0, 4)).toEqual(before.slice(0, 4))
    const { entries, problems } = parse(linesOf(file))
    expect(problems).toEqual([])
    expect([...entries.values()].map(({ previous }) => previous.length)).toEqual([1, 1, 0])
  })

  it('revokes the old password too when it changes or removes the user', async () => {
    const changed = await rotated()
    expect(run('-bB', changed, 'alice', 'third')).toBe(0)
    expect(parse(linesOf(changed)).entries.get('alice')?.previous).toEqual([])
    const removed = await rotated()
    expect(run('-D', removed, 'alice')).toBe(0)
    expect([...parse(linesOf(removed)).entries.keys()]).toEqual(['zoë of x'])
    expect(run('-D', removed, 'zoë of x')).toBe(0)
    expect(parse(linesOf(removed)).entries.size).toBe(0)
  })
})
