import { renameSync, readFileSync, writeFileSync } from 'node:fs'
import https from 'node:https'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { accessScene, loginOf, usersFileOf } from '../fixtures/access-scene.ts'
import { portOf, start } from '../fixtures/process.ts'
import { answering, OK, upstreamForTest } from '../fixtures/programmable-upstream.ts'
import { tempFolder } from '../fixtures/temp-folder.ts'
import { until } from '../fixtures/until.ts'

const RULES_WITH = 'rules:\n  - {who: alice, repositories: ["app"], allow: [pull]}\n'
const RULES_WITHOUT = 'rules: []\n'

it('a process refuses what a change of the rules forbids within 1 s, 20 times out of 20', async () => {
  const upstream = await upstreamForTest(answering(OK))
  const cwd = tempFolder()
  writeFileSync(path.join(cwd, 'htpasswd'), usersFileOf(['alice']))
  const rulesFile = path.join(cwd, 'access.yaml')
  writeFileSync(rulesFile, RULES_WITH)
  const sidecar = start([], {
    cwd,
    env: {
      SIDECAR_UPSTREAM: `http://127.0.0.1:${upstream.port}`,
      SIDECAR_LISTEN: '127.0.0.1:0',
      SIDECAR_ADMIN_LISTEN: 'off',
      SIDECAR_USERS: 'htpasswd',
      SIDECAR_ACCESS: 'access.yaml',
    },
  })
  const port = await portOf(sidecar)
  const ca = readFileSync(path.join(cwd, 'state', 'root.crt'))
  const agent = new https.Agent({ keepAlive: true })
  const where = { host: '127.0.0.1', port, ca, agent, auth: loginOf('alice'), path: '/v2/app/tags/list' }
  const status = () =>
    new Promise<number>((resolve, reject) => {
      https
        .get(where, (response) => {
          response.resume().once('end', () => {
            resolve(response.statusCode ?? 0)
          })
        })
        .once('error', reject)
    })
  // The first request waits for bcrypt.
  expect(await status()).toBe(200)
  const waits: number[] = []
  for (let round = 0; round < 20; round++) {
    for (const [rules, expected] of [
      [RULES_WITHOUT, 403],
      [RULES_WITH, 200],
    ] as const) {
      writeFileSync(`${rulesFile}.new`, rules)
      renameSync(`${rulesFile}.new`, rulesFile)
      const acts = { deadlineMs: 1_000, what: `the answer ${expected}` }
      waits.push(await until(async () => (await status()) === expected, acts))
    }
  }
  agent.destroy()
  console.log(`acted after ${waits.map((ms) => ms.toFixed(0)).join(', ')} ms`)
  expect(waits).toHaveLength(40)
})

describe('after a change', () => {
  it('the log counts the rules and warns of names that are in no users file', async () => {
    const { putRules, sidecar } = await accessScene(['alice'], RULES_WITH)
    putRules(`groups:
  ci: [alice, robot]
rules:
  - {who: [alice, bob], repositories: ["app"], allow: [pull]}
  - {who: anonymous, repositories: ["app"], allow: [push]}
`)
    const inForce = () => sidecar.lines.filter(({ msg }) => msg === 'access rules in force')
    await until(() => inForce().length === 2, { deadlineMs: 5_000, what: 'the log' })
    expect(inForce()).toMatchObject([
      { rules: 1, groups: 0 },
      { rules: 2, groups: 1 },
    ])
    const warnings = sidecar.lines.slice(sidecar.lines.indexOf(inForce()[1] ?? {}) + 1)
    expect(warnings).toMatchObject([
      { level: 40, line: 2, column: 15, msg: 'group "ci" names user "robot", who is not in the users file' },
      { level: 40, line: 4, column: 19, msg: 'user "bob" is not in the users file' },
      { level: 40, line: 5, column: 5, msg: 'rule 2 allows push without login' },
    ])
  })

  it('SIGHUP loads the rules again', async () => {
    const { ask, rulesFile, sidecar } = await accessScene(['alice'], RULES_WITH)
    writeFileSync(rulesFile, RULES_WITHOUT)
    await sidecar.reload()
    expect((await ask('alice', 'GET', '/v2/app/tags/list')).status).toBe(403)
  })
})
