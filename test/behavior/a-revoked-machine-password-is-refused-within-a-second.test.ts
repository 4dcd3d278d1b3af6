// Runs a sidecar as a process, and commands.

import { hashSync } from 'bcryptjs'
import { readFileSync, writeFileSync } from 'node:fs'
import https from 'node:https'
import path from 'node:path'
import { expect, it } from 'vitest'
import { runHere } from '../fixtures/command.ts'
import { portOf, run, start } from '../fixtures/process.ts'
import { answering, OK, upstreamForTest } from '../fixtures/programmable-upstream.ts'
import { repetitions } from '../fixtures/repetitions.ts'
import { tempFolder } from '../fixtures/temp-folder.ts'
import { until } from '../fixtures/until.ts'

interface Added {
  readonly id: string
  readonly secret: string
}

const ADD = ['token', 'add', 'ci', '--json'] as const
const parseAdded = (text: string) => JSON.parse(text) as Added

async function scene() {
  const upstream = await upstreamForTest(answering(OK))
  const cwd = tempFolder()
  const usersFile = path.join(cwd, 'htpasswd')
  writeFileSync(usersFile, `ci:${hashSync('correct horse', 4)}\nbob:${hashSync('hunter two', 4)}\n`)
  const env = {
    SIDECAR_UPSTREAM: `http://127.0.0.1:${upstream.port}`,
    SIDECAR_LISTEN: '127.0.0.1:0',
    SIDECAR_ADMIN_LISTEN: 'off',
    SIDECAR_USERS: 'htpasswd',
    // The client repeats its request while it is refused.
    SIDECAR_THROTTLE: 'off',
  }
  const sidecar = start([], { cwd, env })
  const port = await portOf(sidecar)
  const ca = readFileSync(path.join(cwd, 'state', 'root.crt'))
  const where = { host: '127.0.0.1', port, ca, agent: false as const, path: '/v2/' }
  const userWith =
    (runner: typeof run) =>
    async (...args: readonly string[]) => {
      const { code, stdout, stderr } = await runner(['user', ...args, '--users', usersFile], {
        cwd,
        input: 'battery staple\n',
      })
      expect(`${code} ${stderr}`).toBe('0 ')
      return stdout
    }
  return {
    sidecar,
    usersFile,
    user: userWith(runHere),
    process: userWith(run),
    add: async (...flags: readonly string[]) => parseAdded(await userWith(runHere)(...ADD, ...flags)),
    becomes: async (secret: string, expected: number, deadlineMs = 1_000): Promise<number> => {
      const status = () =>
        new Promise<number>((resolve, reject) => {
          https
            .get({ ...where, auth: `ci:${secret}` }, (response) => {
              response.resume().once('end', () => {
                resolve(response.statusCode ?? 0)
              })
            })
            .once('error', reject)
        })
      return until(async () => (await status()) === expected, { deadlineMs, what: `the answer ${expected}` })
    },
  }
}

it(
  'by revoke, by removal of its user and by another tool, and not by `user passwd`',
  { timeout: 120_000 },
  async () => {
    const { user, add, becomes, usersFile } = await scene()
    const first = await add('--label', 'cluster 1')
    const second = await add()
    for (const { secret } of [first, second]) await becomes(secret, 200)

    const waits: number[] = []
    await user('token', 'revoke', first.id)
    waits.push(await becomes(first.secret, 401))
    await becomes(second.secret, 200)

    await user('passwd', 'ci', '--cost', '4')
    await becomes('battery staple', 200)
    await becomes(second.secret, 200)

    await user('passwd', 'ci', '--cost', '4', '--revoke-tokens')
    waits.push(await becomes(second.secret, 401))

    const third = await add()
    await becomes(third.secret, 200)
    const before = readFileSync(usersFile, 'utf8')
    writeFileSync(usersFile, before.replace(/^ci:.*$/m, `ci:${hashSync('from another tool', 4)}`))
    waits.push(await becomes(third.secret, 401))

    const fourth = await add()
    await becomes(fourth.secret, 200)
    await user('remove', 'ci')
    waits.push(await becomes(fourth.secret, 401))
    await user('add', 'ci', '--cost', '4')
    await becomes('battery staple', 200)
    await becomes(fourth.secret, 401)
    expect(readFileSync(usersFile, 'utf8')).not.toContain('#registry-sidecar')
    console.log(`refused after ${waits.map((ms) => ms.toFixed(0)).join(', ')} ms`)
  },
)

it('when it expires, and the log and `user token list` say so', { timeout: 60_000 }, async () => {
  const { sidecar, user, add, becomes } = await scene()
  const { id, secret } = await add('--expires', '4s')
  await becomes(secret, 200)
  const expired = await becomes(secret, 401, 10_000)
  expect(expired).toBeGreaterThan(100)
  await sidecar.line(/"msg":"a machine password ends soon"/)
  expect(await sidecar.line(/"reason":"machine password expired"/)).toContain('"user":"ci"')
  sidecar.child.kill('SIGTERM')
  expect((await sidecar.finished).code).toBe(0)
  expect(await user('token', 'list')).toMatch(
    new RegExp(`^${id}  ci  pull, push in every repository  expired at \\S+Z  last used \\S+Z\n$`),
  )
  expect(sidecar.stdout() + sidecar.stderr()).not.toContain(secret)
})

const COMMANDS = repetitions({ usual: 2, stress: 6 })

it('two commands at once both leave their line', { timeout: 60_000 }, async () => {
  const { process, becomes } = await scene()
  const texts = await Promise.all(Array.from({ length: COMMANDS }, () => process(...ADD)))
  const added = texts.map(parseAdded)
  expect(new Set(added.map(({ id }) => id)).size).toBe(COMMANDS)
  for (const { secret } of added) await becomes(secret, 200)
  await Promise.all([
    ...added.slice(0, COMMANDS / 2).map(({ id }) => process('token', 'revoke', id)),
    process('remove', 'bob'),
  ])
  for (const [index, { secret }] of added.entries()) await becomes(secret, index < COMMANDS / 2 ? 401 : 200)
})
