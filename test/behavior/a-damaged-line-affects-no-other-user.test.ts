import { hashSync } from 'bcryptjs'
import { expect, it } from 'vitest'
import { answering, OK, upstreamForTest } from '../fixtures/programmable-upstream.ts'
import { ALICE, ALICE_ENTRY, sidecarForTest } from '../fixtures/sidecar.ts'
import { until } from '../fixtures/until.ts'

const BOB = 'bob:hunter two'
const BOB_ENTRY = `bob:${hashSync('hunter two', 4)}\n`

it.each([
  ['a line of NUL bytes', `${ALICE_ENTRY}\0\0\0\n`, 2],
  ['a NUL byte in a comment', `${ALICE_ENTRY}# \0\n`, 2],
  ['NUL bytes without an end', `${ALICE_ENTRY}${'\0'.repeat(4096)}`, 2],
  ['a first line that looks like UTF-16', `a\0b\0\n${ALICE_ENTRY}`, 1],
  ['escape sequences', `\x1b[2J\x07:x\n${ALICE_ENTRY}`, 1],
])(
  'a user removed in the edit that adds %s is refused within 1 s, and the log names the line',
  async (_what, text, line) => {
    const upstream = await upstreamForTest(answering(OK))
    const sidecar = await sidecarForTest({
      upstreamPort: upstream.port,
      users: ALICE_ENTRY + BOB_ENTRY,
      env: { SIDECAR_THROTTLE: 'off' },
    })
    const statusOf = async (login: string) => (await sidecar.request({ as: login, path: '/v2/' })).status
    expect(await statusOf(BOB)).toBe(200)

    sidecar.writeUsers(text)

    const refused = { deadlineMs: 1_000, what: 'the removed user is refused' }
    await until(async () => (await statusOf(BOB)) === 401, refused)
    expect(await statusOf(ALICE)).toBe(200)
    expect(sidecar.lines.filter(({ msg }) => msg === 'line of the users file skipped')).toMatchObject([
      { line },
    ])
  },
)
