import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { usersFileOf } from '../fixtures/access-scene.ts'
import { runHere } from '../fixtures/command.ts'
import { tempFolder } from '../fixtures/temp-folder.ts'

const RULES = `groups:
  ci: [builder, robot]
  old: [gone]
rules:
  - {who: "@ci", repositories: ["team/**"], allow: [pull, push]}
  - {who: anonymous, repositories: ["public/*"], allow: [pull]}
  - {who: [alice, gone], repositories: ["team/**"], allow: [catalog]}
  - {who: "@old", repositories: ["team/**"], allow: [delete]}
`

function folderWith(files: Readonly<Record<string, string>>): string {
  const folder = tempFolder()
  for (const [name, text] of Object.entries(files)) writeFileSync(path.join(folder, name), text)
  return folder
}

const FILES = { 'access.yaml': RULES, htpasswd: usersFileOf(['builder', 'alice']) }
const ENV = { SIDECAR_USERS: 'htpasswd', SIDECAR_ACCESS: 'access.yaml' }
const cli = (args: readonly string[], files: Readonly<Record<string, string>> = FILES, env = {}) =>
  runHere(args, { cwd: folderWith(files), env: { ...ENV, ...env } })

describe('access test', () => {
  it.each([
    ['builder push team/app', 0, 'builder may push to team/app: rule 1, line 5\n'],
    ['builder delete team/app', 1, 'builder may not delete from team/app: no rule allows it\n'],
    ['anonymous pull public/app', 0, 'anonymous may pull public/app: rule 2, line 6\n'],
    ['builder pull public/app', 0, 'builder may pull public/app: rule 2, line 6\n'],
    ['anonymous pull team/app', 1, 'anonymous may not pull team/app: no rule allows it\n'],
    ['alice catalog', 0, 'alice may list the repositories (catalog): rule 3, line 7\n'],
    ['robot pull team/app', 0, 'robot may pull team/app: rule 1, line 5\nnote: htpasswd has no user robot\n'],
  ])('%s', async (args, code, stdout) => {
    expect(await cli(['access', 'test', ...args.split(' ')])).toMatchObject({ code, stdout, stderr: '' })
  })

  it('prints one JSON document with --json', async () => {
    const { code, stdout } = await cli(['access', 'test', 'builder', 'push', 'team/app', '--json'])
    expect([code, JSON.parse(stdout)]).toEqual([
      0,
      {
        user: 'builder',
        action: 'push',
        repository: 'team/app',
        file: 'access.yaml',
        isAllowed: true,
        rule: 1,
        line: 5,
        message: 'builder may push to team/app: rule 1, line 5',
        isUser: true,
      },
    ])
  })

  it('says that without a rules file every user may do everything', async () => {
    const env = { SIDECAR_ACCESS: '' }
    const allowed = await cli(['access', 'test', 'builder', 'delete', 'team/app'], FILES, env)
    expect(allowed).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('without a rules file') as string,
    })
    expect(await cli(['access', 'test', 'anonymous', 'pull', 'a'], FILES, env)).toMatchObject({ code: 1 })
  })

  it.each([
    [['builder', 'pul', 'team/app'], /'pul' is invalid for argument 'action'/],
    [['builder', 'pull'], /name the repository: pull is allowed per repository/],
    [['builder', 'pull', 'host:5000/app'], /"host:5000\/app" is not a repository name/],
    [['builder', 'pull', 'Team/app'], /is not a repository name/],
    [['builder'], /missing required argument 'action'/],
  ])('refuses %j as wrong usage', async (args, stderr) => {
    expect(await cli(['access', 'test', ...args])).toMatchObject({
      code: 64,
      stdout: '',
      stderr: expect.stringMatching(stderr) as string,
    })
  })

  it('lists every problem of a broken rules file', async () => {
    const files = { ...FILES, 'access.yaml': 'rules: [1]\nfoo: 2\n' }
    const { code, stdout, stderr } = await cli(['access', 'test', 'builder', 'pull', 'a'], files)
    expect([code, stdout]).toEqual([1, ''])
    expect(stderr).toBe(
      'registry-sidecar: access.yaml: line 1, column 9: expected a mapping, found 1\n' +
        'line 2, column 1: unknown key "foo"\n',
    )
    const { htpasswd } = FILES
    const missing = await cli(['access', 'test', 'builder', 'pull', 'a'], { htpasswd })
    expect(missing).toMatchObject({ code: 1, stderr: 'registry-sidecar: access.yaml: is missing\n' })
  })
})

describe('check', () => {
  const accessLines = async (files: Readonly<Record<string, string>>, env = {}) =>
    (await cli(['check'], files, env)).stdout.split('\n').filter((line) => line.includes(' access: '))

  it('names rules for nobody, unknown users and users without rights', async () => {
    const files = { ...FILES, htpasswd: usersFileOf(['builder', 'eve']) }
    const rules = RULES.replace('  - {who: anonymous, repositories: ["public/*"], allow: [pull]}\n', '')
    expect(await accessLines({ ...files, 'access.yaml': rules })).toEqual([
      'ok      access: 3 rules in access.yaml',
      'note    access: access.yaml:2:17: group "ci" names user "robot", who is not in the users file',
      'note    access: access.yaml:3:9: group "old" names user "gone", who is not in the users file',
      'note    access: access.yaml:6:12: user "alice" is not in the users file',
      'note    access: access.yaml:6:19: user "gone" is not in the users file',
      'note    access: access.yaml:6:5: rule 2 is for nobody in the users file',
      'note    access: access.yaml:7:5: rule 3 is for nobody in the users file',
      'note    access: access.yaml:6:5: rule 2 allows catalog for the whole registry; "repositories" does not limit it',
      'note    access: users without any right: eve → allow these users something in access.yaml, or remove them',
    ])
  })

  it('lists every problem of the file with line and column', async () => {
    expect(await accessLines({ ...FILES, 'access.yaml': 'rules: [1]\nfoo: 2\n' })).toEqual([
      'problem access: access.yaml:1:9: expected a mapping, found 1',
      'problem access: access.yaml:2:1: unknown key "foo"',
    ])
    const { htpasswd } = FILES
    expect(await accessLines({ htpasswd })).toEqual([
      'problem access: access.yaml does not exist → docs/access.md shows how to write it',
    ])
  })

  it('says nothing without a rules file, and nothing about users without a users file', async () => {
    expect(await accessLines(FILES, { SIDECAR_ACCESS: '' })).toEqual([])
    const lines = await accessLines({ 'access.yaml': RULES })
    expect(lines).toHaveLength(2)
    expect(lines[0]).toBe('ok      access: 4 rules in access.yaml')
  })
})

it('completion knows the command and the actions', async () => {
  const { stdout } = await runHere(['completion', 'bash'])
  expect(stdout).toContain(String.raw`'access test') commands=$'pull\npush\ndelete\ncatalog\nstatus'`)
})
