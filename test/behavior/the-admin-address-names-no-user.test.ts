import { expect, it } from 'vitest'
import { hashSync } from 'bcryptjs'
import { bindingOf, formatKeptLine } from '../../src/users/old-password-line.ts'
import { askAdmin } from '../fixtures/scrape.ts'
import { answering, OK, upstreamForTest } from '../fixtures/programmable-upstream.ts'
import { sidecarForTest } from '../fixtures/sidecar.ts'
import { until } from '../fixtures/until.ts'

const [HASH = '', OTHER = ''] = ['one', 'two'].map((password) => hashSync(password, 4))
const MD5 = '$apr1$x$abcdefghijklmnopqrstu0'
const KEPT = formatKeptLine({
  username: 'carol',
  hash: OTHER,
  validUntil: Date.now() + 3_600_000,
  binding: bindingOf(OTHER),
})

async function askAll(sidecar: Parameters<typeof askAdmin>[0]): Promise<string> {
  const answers = await Promise.all(['/readyz', '/', '/metrics'].map((path) => askAdmin(sidecar, path)))
  return answers.map(({ text }) => text).join('\n')
}

it('reports skipped lines by number and kind; only the log has names', async () => {
  const upstream = await upstreamForTest(answering(OK))
  const lines = [
    `carol:${HASH}`,
    `carol:${OTHER}`,
    `dave:${MD5}`,
    `erin:${HASH.replaceAll('$', '$$$$')}`,
    KEPT,
  ]
  const sidecar = await sidecarForTest({ upstreamPort: upstream.port, users: `${lines.join('\n')}\n` })

  const { status, text } = await askAdmin(sidecar, '/readyz')

  expect(status).toBe(200)
  expect(text).toContain(
    'skipped line 2: duplicate name; line 3: unusable hash; line 4: unusable hash; line 5: unusable old password',
  )
  expect(await askAll(sidecar)).not.toMatch(/carol|dave|erin/)
  const log = JSON.stringify(sidecar.lines)
  for (const name of ['carol is there already', 'dave has Apache MD5', 'erin has'])
    expect(log).toContain(name)
})

it('reports a refused file by line number and kind; only the log has names', async () => {
  const upstream = await upstreamForTest(answering(OK))
  const sidecar = await sidecarForTest({ upstreamPort: upstream.port, users: `carol:${HASH}\n` })
  sidecar.writeUsers(`# team\ndave:${MD5}\n`)
  await until(() => sidecar.users.state.kind === 'stale', { deadlineMs: 5_000, what: 'the file is refused' })

  const { status, text } = await askAdmin(sidecar, '/readyz')

  expect(status).toBe(200)
  expect(text).toContain('no line is a usable entry; line 2: unusable hash')
  expect(await askAll(sidecar)).not.toMatch(/carol|dave/)
  expect(JSON.stringify(sidecar.lines)).toContain('line 2: dave has Apache MD5')
})
