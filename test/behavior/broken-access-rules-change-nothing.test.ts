import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { accessScene, startAccessScene, usersFileOf, type AccessScene } from '../fixtures/access-scene.ts'
import { runHere } from '../fixtures/command.ts'
import { run } from '../fixtures/process.ts'
import { isStress, repetitions } from '../fixtures/repetitions.ts'
import { askAdmin, scrape } from '../fixtures/scrape.ts'
import { tempFolder } from '../fixtures/temp-folder.ts'
import { until } from '../fixtures/until.ts'

const rulesFor = (team: string): string => `rules:
  - {who: alice, repositories: ["${team}/**"], allow: [pull]}
`
const RULES = rulesFor('team')
const RULE = '  - {who: alice, repositories: ["a"], allow: [pull]}\n'
const laughs = (levels: number): string =>
  Array.from({ length: levels }, (_, i) => {
    const items =
      i === 0
        ? '"lol"'
        : Array<string>(9)
            .fill(`*l${i - 1}`)
            .join(', ')
    return `l${i}: &l${i} [${items}]\n`
  }).join('')

interface Broken {
  readonly what: string
  readonly text: string
  /** What the operator reads. */
  readonly problems: readonly string[]
}

const BROKEN: readonly Broken[] = [
  {
    what: 'with several mistakes',
    text: `rules:
  - {who: "@cj", repositories: ["Team/**"], allow: [pul]}
  - {who: alice, repository: ["a"], allow: [catalog]}
`,
    problems: [
      'line 2, column 11: unknown group "@cj"',
      'line 2, column 33: "Team/**": repository names are lower-case',
      'line 2, column 53: unknown action "pul"; the actions are pull, push, delete, catalog, status',
      'line 3, column 18: unknown key "repository"',
    ],
  },
  { what: 'that is no YAML', text: 'rules: [', problems: ['line 1, column 9: '] },
  { what: 'that is empty', text: '', problems: ['line 1, column 1: the file is empty'] },
  {
    what: 'of 10 MB',
    text: `rules:\n${'#'.repeat(10_000_000)}`,
    problems: ['the file is larger than 256 KiB'],
  },
  {
    what: 'with 100,000 rules',
    text: `rules:\n${RULE.repeat(100_000)}`,
    problems: ['the file is larger than 256 KiB'],
  },
  {
    what: 'with aliases that expand without end',
    text: `${laughs(30)}rules: *l29\n`,
    problems: ['text that begins with "*" must be in quotes; YAML aliases are not supported'],
  },
  {
    what: 'with a key twice',
    text: `rules: []\nrules:\n${RULE}`,
    problems: ['line 2, column 1: the key "rules" appears twice in this mapping'],
  },
  { what: 'that is not UTF-8', text: '\xff', problems: ['the file is not UTF-8 text'] },
  {
    what: 'nested too deeply',
    text: '['.repeat(repetitions({ usual: 20_000, stress: 200_000 })),
    problems: ['the file is nested too deeply'],
  },
]

// A process for each takes long, and test/access/rules-file reads the others.
const REPRESENTATIVE = ['with several mistakes', 'of 10 MB', 'nested too deeply']

let shared: AccessScene
let team = 'team'
let teams = 1
beforeAll(async () => {
  shared = await startAccessScene(['alice'], RULES)
})
afterAll(() => shared.stop())

describe.each(BROKEN)('a rules file $what', ({ what, text, problems }) => {
  const startsProcess = isStress || REPRESENTATIVE.includes(what)
  if (startsProcess)
    it('ends the process at the start, with every problem listed', async () => {
      const cwd = tempFolder()
      writeFileSync(path.join(cwd, 'htpasswd'), usersFileOf(['alice']))
      writeFileSync(path.join(cwd, 'access.yaml'), text, 'latin1')
      const env = {
        SIDECAR_LISTEN: '127.0.0.1:0',
        SIDECAR_ADMIN_LISTEN: 'off',
        SIDECAR_USERS: 'htpasswd',
        SIDECAR_ACCESS: 'access.yaml',
      }
      const isProcess = isStress || what === 'with several mistakes'
      const { code, stdout, stderr } = await (isProcess ? run : runHere)(['serve'], { cwd, env })
      expect(code).toBe(1)
      expect(stdout).not.toContain('ready to serve')
      expect(stderr).toMatch(/^registry-sidecar: access\.yaml: /)
      for (const problem of problems) expect(stderr).toContain(problem)
    })

  it('keeps the last good rules later, and says stale without names', async () => {
    const { ask, putRules, sidecar } = shared
    const before = sidecar.lines.length
    putRules(Buffer.from(text, 'latin1'))
    const error = () =>
      sidecar.lines.slice(before).find(({ msg }) => String(msg).startsWith('file not loaded'))
    await until(() => error() !== undefined, { deadlineMs: 20_000, what: 'the log' })
    for (const problem of problems) expect(error()?.['reason']).toContain(problem)
    expect((await ask('alice', 'GET', `/v2/${team}/app/tags/list`)).status).toBe(200)
    expect((await ask('alice', 'DELETE', `/v2/${team}/app/manifests/v1`)).status).toBe(403)
    const { parts } = JSON.parse((await askAdmin(sidecar, '/readyz')).text) as { parts: { access: unknown } }
    expect(parts.access).toMatchObject({
      ready: true,
      state: 'stale',
      reason: expect.stringMatching(/^problems at line \d+, column \d+/) as string,
    })
    expect(JSON.stringify(parts.access)).not.toMatch(/Team|cj|pul/)
    expect((await scrape(sidecar)).get('registry_sidecar_file_stale{part="access"}')).toBe(1)

    const previous = team
    team = `team${(teams += 1)}`
    putRules(rulesFor(team))
    await until(async () => (await ask('alice', 'GET', `/v2/${team}/app/tags/list`)).status === 200, {
      deadlineMs: 5_000,
      what: 'the good rules',
    })
    expect((await ask('alice', 'GET', `/v2/${previous}/app/tags/list`)).status).toBe(403)
    expect((await scrape(sidecar)).get('registry_sidecar_file_stale{part="access"}')).toBe(0)
  })
})

it('a missing rules file ends the process at the start', async () => {
  const cwd = tempFolder()
  const env = { SIDECAR_LISTEN: '127.0.0.1:0', SIDECAR_ADMIN_LISTEN: 'off', SIDECAR_ACCESS: 'access.yaml' }
  expect(await runHere(['serve'], { cwd, env })).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('access.yaml: is missing') as string,
  })
})

it('a rules file that is removed later stays in force', async () => {
  const { ask, removeRules, sidecar } = await accessScene(['alice'], RULES)
  removeRules()
  const error = { msg: 'file not loaded; the previous version stays in use' }
  await until(() => sidecar.lines.some(({ msg }) => msg === error.msg), {
    deadlineMs: 5_000,
    what: 'the log',
  })
  expect((await ask('alice', 'GET', '/v2/team/app/tags/list')).status).toBe(200)
  expect((await ask('alice', 'GET', '/v2/other/tags/list')).status).toBe(403)
})
