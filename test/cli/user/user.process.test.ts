// Runs the `user` commands, also several processes at once.

import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import compare from '../../../src/auth/bcrypt.ts'
import { parseHtpasswd } from '../../../src/users/htpasswd.ts'
import type { Entry } from '../../../src/users/user-table.ts'
import { runHere } from '../../fixtures/command.ts'
import { run } from '../../fixtures/process.ts'
import { tempFolder } from '../../fixtures/temp-folder.ts'

const FAST = ['--cost', '4']
const WRONG_SETTING = { SIDECAR_LISTEN: 'x' }

function inFolder(cwd: string, env: Readonly<Record<string, string>> = {}) {
  const file = path.join(cwd, 'users', 'htpasswd')
  const text = (): string => readFileSync(file, 'utf8')
  return {
    file,
    text,
    user: (args: readonly string[], input = '') => runHere(['user', ...args], { cwd, env, input }),
    process: (args: readonly string[], input = '') => run(['user', ...args], { cwd, env, input }),
    entry: (name: string): Entry | undefined => parseHtpasswd(Buffer.from(text()), file).entries.get(name),
  }
}

const isPassword = (password: string, hash = ''): boolean =>
  compare({ password, hashes: [hash], dummyHashes: [] }) === 0

describe('user passwd --keep-old', () => {
  it('rotates a password in two steps: both are valid, then only the new one', async () => {
    const { user, entry, text } = inFolder(tempFolder())
    await user(['add', 'alice', ...FAST], 'first\n')
    const rotated = await user(['passwd', 'alice', '--keep-old', '10m', '--json', ...FAST], 'second\n')
    const { oldPasswordValidUntil } = JSON.parse(rotated.stdout) as { oldPasswordValidUntil: string }
    expect(Math.abs(Date.parse(oldPasswordValidUntil) - Date.now() - 600_000)).toBeLessThan(60_000)
    for (const password of ['first', 'second'])
      expect(await user(['verify', 'alice'], password)).toMatchObject({ code: 0, stderr: '' })
    expect((await user(['verify', 'alice'], 'first')).stdout).toContain(oldPasswordValidUntil)
    expect((await user(['list'])).stdout).toContain(`old password valid until ${oldPasswordValidUntil}`)
    await user(['passwd', 'alice', ...FAST], 'third\n')
    expect(entry('alice')?.previous).toEqual([])
    expect(text().split('\n')).toHaveLength(2)
  })

  it('exits with 64 and reports every problem at once, settings included', async () => {
    const wrong = ['passwd', 'a:b', '--keep-old', 'soon', '--cost', '99']
    const { code, stdout, stderr } = await inFolder(tempFolder(), WRONG_SETTING).user(wrong)
    expect({ code, stdout }).toEqual({ code: 64, stdout: '' })
    for (const part of ['colon', '--keep-old: "soon"', '--cost', 'SIDECAR_LISTEN'])
      expect(stderr).toContain(part)
    expect(stderr.trimEnd().split('\n')).toHaveLength(4)
  })

  it.each(['add', 'remove', 'verify'])('is no flag of user %s', async (verb) => {
    expect((await inFolder(tempFolder()).user([verb, 'alice', '--keep-old', '1m'])).code).toBe(64)
  })
})

it.each([
  ['remove', ['remove', 'a:b']],
  ['verify', ['verify', 'a:b']],
  ['list', ['list']],
])('user %s reports wrong settings too, and reads no file', async (_verb, args) => {
  const { code, stderr } = await inFolder(tempFolder(), WRONG_SETTING).user(args)
  expect(code).toBe(64)
  expect(stderr).toContain('SIDECAR_LISTEN')
  expect(stderr.includes('colon')).toBe(args.includes('a:b'))
})

describe('started at once', () => {
  it('all commands take effect, and nothing else changes', async () => {
    const { user, process, entry, file, text } = inFolder(tempFolder())
    await user(['add', 'alice', ...FAST], 'first\n')
    await user(['add', 'carol', ...FAST], 'carol\n')
    writeFileSync(file, `# the team\n${text()}# the end\n`)
    const finished = await Promise.all([
      process(['add', 'bob', ...FAST], 'bob\n'),
      process(['passwd', 'alice', '--keep-old', '10m', ...FAST], 'second\n'),
      process(['remove', 'carol']),
      process(['add', 'dave', '--generate', ...FAST]),
    ])
    expect(finished.map(({ code, stderr }) => [code, stderr])).toEqual(
      Array.from({ length: 4 }, () => [0, '']),
    )
    expect(isPassword('second', entry('alice')?.hash)).toBe(true)
    expect(isPassword('first', entry('alice')?.previous[0]?.hash)).toBe(true)
    expect(isPassword('bob', entry('bob')?.hash)).toBe(true)
    expect(entry('dave')).toBeDefined()
    expect(entry('carol')).toBeUndefined()
    expect(text()).toMatch(/^# the team\nalice:.*\n#registry-sidecar .* alice\n# the end\n/)
    expect(text().split('\n')).toHaveLength(7)
    expect(readdirSync(path.dirname(file))).toEqual(['htpasswd'])
  })

  it('two rotations of one user keep the last password and two old ones valid', async () => {
    const { user, process, entry } = inFolder(tempFolder())
    await user(['add', 'alice', ...FAST], 'first\n')
    const rotate = (password: string) =>
      process(['passwd', 'alice', '--keep-old', '10m', ...FAST], `${password}\n`)
    const codes = (await Promise.all([rotate('second'), rotate('third')])).map(({ code }) => code)
    expect(codes).toEqual([0, 0])
    expect(entry('alice')?.previous).toHaveLength(2)
    for (const password of ['first', 'second', 'third'])
      expect((await user(['verify', 'alice'], password)).code).toBe(0)
  })

  it('two commands that add the same name: one fails', async () => {
    const { process, text } = inFolder(tempFolder())
    const add = () => process(['add', 'alice', '--generate', ...FAST])
    const finished = await Promise.all([add(), add()])
    expect(finished.map(({ code }) => code).toSorted()).toEqual([0, 1])
    expect(finished.map(({ stderr }) => stderr).join('')).toMatch(/^registry-sidecar: alice exists in /)
    expect(text().split('\n')).toHaveLength(2)
  })
})
