import { describe, expect, it } from 'vitest'
import { upstreamForTest } from '../fixtures/programmable-upstream.ts'
import { scrape } from '../fixtures/scrape.ts'
import { ALICE, sidecarForTest, type TestSidecar } from '../fixtures/sidecar.ts'
import { until } from '../fixtures/until.ts'

const DEADLINE = { deadlineMs: 20_000, what: 'the metric' }
const MANIFEST = '/v2/team/app/manifests/latest'

const EMPTY = 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'
const BODY = '{}'

/** A sidecar whose registry accepts everything. */
async function sidecarWithRegistry(): Promise<TestSidecar> {
  const upstream = await upstreamForTest((soFar, socket) => {
    if (soFar.endsWith(soFar.startsWith('PUT') ? BODY : '\r\n\r\n')) socket.write(EMPTY)
  })
  return sidecarForTest({ upstreamPort: upstream.port })
}

/** The samples of this metric by their labels, without those that are 0. */
async function samplesOf(sidecar: TestSidecar, name: string): Promise<Readonly<Record<string, number>>> {
  const prefix = `registry_sidecar_${name}{`
  const samples = [...(await scrape(sidecar))].filter(([key, value]) => key.startsWith(prefix) && value !== 0)
  return Object.fromEntries(samples.map(([key, value]) => [key.slice(prefix.length, -1), value]))
}

describe('the metrics', () => {
  it('count pushes and pulls at their manifests, by outcome', async () => {
    const sidecar = await sidecarWithRegistry()
    const operations = () => samplesOf(sidecar, 'operations_total')
    for (const outcome of ['ok', 'failed']) {
      const name = `registry_sidecar_operations_total{operation="push",outcome="${outcome}"}`
      expect((await scrape(sidecar)).get(name), 'begins at 0').toBe(0)
    }

    await sidecar.request({ as: ALICE, path: MANIFEST })
    await sidecar.request({ as: ALICE, path: MANIFEST, method: 'HEAD' })
    await sidecar.request({ as: ALICE, path: MANIFEST, method: 'PUT', body: BODY })
    await sidecar.request({ as: ALICE, path: '/v2/team/app/blobs/sha256:0', method: 'GET' })
    await sidecar.request({ as: 'alice:wrong', path: MANIFEST })
    const expected = {
      'operation="pull",outcome="ok"': 1,
      'operation="push",outcome="ok"': 1,
      'operation="pull",outcome="unauthenticated"': 1,
    }
    await until(async () => Object.keys(await operations()).length === 3, DEADLINE)
    expect(await operations()).toEqual(expected)
  })

  it('count failed pushes and pulls when the registry cannot be reached', async () => {
    const sidecar = await sidecarForTest()
    await sidecar.request({ as: ALICE, path: MANIFEST })
    await sidecar.request({ as: ALICE, path: MANIFEST, method: 'PUT', body: BODY })
    await until(async () => Object.keys(await samplesOf(sidecar, 'operations_total')).length === 2, DEADLINE)
    expect(await samplesOf(sidecar, 'operations_total')).toEqual({
      'operation="pull",outcome="failed"': 1,
      'operation="push",outcome="failed"': 1,
    })
    expect(await samplesOf(sidecar, 'ready')).toEqual({
      'part="users"': 1,
      'part="certificate"': 1,
      'part="freeze"': 1,
      'part="draining"': 1,
    })
  })

  it('count valid logins by kind, and how long they waited', async () => {
    const sidecar = await sidecarWithRegistry()
    await sidecar.request({ as: ALICE, path: '/v2/' })
    await sidecar.request({ as: ALICE, path: '/v2/' })
    await sidecar.request({ as: 'alice:wrong', path: '/v2/' })
    expect(await samplesOf(sidecar, 'logins_accepted_total')).toEqual({
      'kind="verified"': 1,
      'kind="remembered"': 1,
    })
    const metrics = await scrape(sidecar)
    expect(metrics.get('registry_sidecar_login_wait_seconds_count')).toBe(2)
    expect(metrics.get('registry_sidecar_logins_waiting')).toBe(0)
    expect(await samplesOf(sidecar, 'ready')).toHaveProperty(['part="upstream"'], 1)
  })

  it('count requests with a token apart from the login that got it', async () => {
    const sidecar = await sidecarWithRegistry()
    const answer = await sidecar.request({ as: ALICE, path: '/token?service=registry' })
    const { token } = JSON.parse(answer.body.toString()) as { readonly token: string }
    await sidecar.request({ path: MANIFEST, headers: { Authorization: `Bearer ${token}` } })
    expect(await samplesOf(sidecar, 'logins_accepted_total')).toEqual({
      'kind="verified"': 1,
      'kind="token"': 1,
    })
  })

  it('measure how long the registry takes for requests without a body', async () => {
    const sidecar = await sidecarWithRegistry()
    await sidecar.request({ as: ALICE, path: MANIFEST })
    await sidecar.request({ as: ALICE, path: MANIFEST, method: 'PUT', body: BODY })
    expect((await scrape(sidecar)).get('registry_sidecar_upstream_first_byte_seconds_count')).toBe(1)
  })

  it('show blobs that are pushed and pulled now', async () => {
    // Each collection of metrics asks the registry, and would wait for this answer until its timeout.
    const upstream = await upstreamForTest((soFar, socket) => {
      if (soFar.startsWith('GET /v2/ ')) socket.write(EMPTY)
    })
    const sidecar = await sidecarForTest({ upstreamPort: upstream.port })
    const open = () => samplesOf(sidecar, 'blob_transfers_in_flight')
    const authorization = `Authorization: Basic ${Buffer.from(ALICE).toString('base64')}`
    const pull = await sidecar.connect()
    pull.write(`GET /v2/a/blobs/sha256:0 HTTP/1.1\r\nHost: a\r\n${authorization}\r\n\r\n`)
    const push = await sidecar.connect()
    push.write(
      `PATCH /v2/a/blobs/uploads/1 HTTP/1.1\r\nHost: a\r\n${authorization}\r\nContent-Length: 9\r\n\r\n`,
    )
    await until(async () => Object.keys(await open()).length === 2, DEADLINE)
    expect(await open()).toEqual({ 'operation="pull"': 1, 'operation="push"': 1 })
    pull.destroy()
    push.destroy()
    await until(async () => Object.keys(await open()).length === 0, DEADLINE)
  })

  it('count loads of each file by outcome, and show the time of the last good one', async () => {
    const sidecar = await sidecarForTest()
    const lastGood = async () =>
      (await samplesOf(sidecar, 'last_good_load_timestamp_seconds'))['part="users"'] ?? 0
    const loads = () => samplesOf(sidecar, 'reloads_total')
    const atStart = await lastGood()
    expect(Math.abs(atStart - Date.now() / 1000)).toBeLessThan(60)

    sidecar.writeUsers('not an entry\n')
    await until(async () => (await loads())['part="users",outcome="failed"'] === 1, DEADLINE)
    expect(await lastGood()).toBe(atStart)
    sidecar.writeUsers('')
    await until(async () => (await loads())['part="users",outcome="changed"'] === 2, DEADLINE)
    expect(await lastGood()).toBeGreaterThan(atStart)
  })

  it('name the version of the sidecar', async () => {
    const sidecar = await sidecarForTest()
    expect(Object.keys(await samplesOf(sidecar, 'build_info'))).toEqual([
      expect.stringMatching(/^version="\d+\.\d+\.\d+"$/),
    ])
  })
})
