import { Agent } from 'node:https'
import { expect, it } from 'vitest'
import { answering, OK, upstreamForTest } from '../fixtures/programmable-upstream.ts'
import { scrape, sumOf } from '../fixtures/scrape.ts'
import { ALICE, sidecarForTest, type TestRequest } from '../fixtures/sidecar.ts'
import { until } from '../fixtures/until.ts'

const STRANGER = '127.0.0.2'
const CONNECTIONS = 8
const REQUESTS_EACH = 100
const REQUESTS = CONNECTIONS * REQUESTS_EACH
const LINES = 60

const STRANGE: readonly TestRequest[] = [
  { path: '/v2/' },
  { path: '/v2/', headers: { Authorization: 'Basic ?' } },
  { path: '/nothing' },
  { method: 'PURGE', path: '/v2/' },
]

it('60 requests without a user have a line and the rest a count; a user’s requests have one each; the metrics count all', async () => {
  const upstream = await upstreamForTest(answering(OK))
  const sidecar = await sidecarForTest({ upstreamPort: upstream.port })
  const requests = (address: string, user?: string) =>
    sidecar.lines.filter(
      (line) => line['msg'] === 'request' && line['address'] === address && line['user'] === user,
    )
  const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS, ca: sidecar.root.pem })
  const lanes = Array.from({ length: CONNECTIONS }, async () => {
    for (let i = 0; i < REQUESTS_EACH; i++)
      await sidecar.request({ ...STRANGE[i % STRANGE.length], agent, localAddress: STRANGER })
  })
  await Promise.all(lanes)
  for (let i = 0; i < 2 * LINES; i++) {
    await sidecar.request({ as: ALICE, path: '/v2/', agent, localAddress: STRANGER })
  }
  await sidecar.request({ path: '/v2/' })
  agent.destroy()
  const count = async () => sumOf(await scrape(sidecar), 'registry_sidecar_request_seconds_count')
  const all = REQUESTS + 2 * LINES + 1
  await until(async () => (await count()) === all, { deadlineMs: 20_000, what: 'all in the metrics' })

  expect(requests(STRANGER)).toHaveLength(LINES)
  expect(requests(STRANGER, 'alice')).toHaveLength(2 * LINES)
  expect(requests('127.0.0.1'), 'of another source').toHaveLength(1)
  await sidecar.stop()
  expect(sidecar.lines.filter(({ msg }) => msg === 'more requests without a verified user')).toMatchObject([
    { source: STRANGER, count: REQUESTS - LINES },
  ])
})
