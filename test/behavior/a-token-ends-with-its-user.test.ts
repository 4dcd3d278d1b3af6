import { hashSync } from 'bcryptjs'
import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { accessScene, loginOf } from '../fixtures/access-scene.ts'
import { tokenOf } from '../fixtures/token-client.ts'
import { until } from '../fixtures/until.ts'

it.each([
  ['the user is removed', ''],
  ['the password changes', `dev:${hashSync('another secret', 4)}\n`],
])('within a second after %s, also if the token was just used', async (_what, line) => {
  const { sidecar } = await accessScene(['dev', 'other'])
  const [ended, kept] = [await tokenOf(sidecar, loginOf('dev')), await tokenOf(sidecar, loginOf('other'))]
  const statusOf = async (token: string) =>
    (await sidecar.request({ path: '/v2/', headers: { Authorization: `Bearer ${token}` } })).status
  expect([await statusOf(ended), await statusOf(kept)]).toEqual([200, 200])
  const [, otherLine = ''] = readFileSync(sidecar.usersFile, 'utf8').split('\n')
  sidecar.writeUsers(`${line}${otherLine}\n`)
  await until(async () => (await statusOf(ended)) === 401, {
    deadlineMs: 1_000,
    what: 'the first refused request',
  })
  expect(await statusOf(kept)).toBe(200)
  // It is no wrong login: the client could not know.
  expect(sidecar.lines.filter(({ msg }) => msg === 'login refused')).toEqual([])
})
