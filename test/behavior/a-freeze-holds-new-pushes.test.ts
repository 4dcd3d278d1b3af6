import { readFileSync, writeFileSync } from 'node:fs'
import http from 'node:http'
import path from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { writeFreeze } from '../../src/freeze/freeze-file.ts'
import { createFreezeClocks, freezeFor, isFrozen, newFreeze, thawNow } from '../fixtures/freeze-scene.ts'
import { upstreamForTest, type ProgrammableUpstream } from '../fixtures/programmable-upstream.ts'
import { scrape } from '../fixtures/scrape.ts'
import {
  ALICE,
  ALICE_ENTRY,
  sidecarForTest,
  type TestRequest,
  type TestSettings,
} from '../fixtures/sidecar.ts'
import { tempFolder } from '../fixtures/temp-folder.ts'
import { until } from '../fixtures/until.ts'

const MINUTE_MS = 60_000
const SOON_MS = 10_000
const DIGEST = `sha256:${'a'.repeat(64)}`

/** Answers each request with a status that suits it. */
async function setScene(settings: TestSettings = {}) {
  const upstream = await upstreamForTest((soFar, socket) => {
    const head = soFar.slice(soFar.lastIndexOf('HTTP/1.1'))
    if (!head.includes('\r\n\r\n')) return
    const status = /(?:PUT|POST|PATCH) [^\r]*HTTP\/1\.1/.test(soFar) ? '201 Created' : '200 OK'
    socket.write(`HTTP/1.1 ${status}\r\nContent-Length: 0\r\n\r\n`)
  })
  const sidecar = await sidecarForTest({ upstreamPort: upstream.port, ...settings })
  const ask = (method: string, target: string, more: TestRequest = {}) =>
    sidecar.request({ as: ALICE, method, path: target, ...more })
  const waiting = async () => (await scrape(sidecar)).get('registry_sidecar_writes_waiting')
  const waits = (count: number) =>
    until(async () => (await waiting()) === count, { deadlineMs: SOON_MS, what: `${count} writes wait` })
  return { upstream, sidecar, ask, waits }
}

const arrivals = ({ received }: ProgrammableUpstream, text: string) =>
  received.filter((bytes) => bytes.includes(text)).length

function rulesFile(rules: string): string {
  const file = path.join(tempFolder(), 'access.yaml')
  writeFileSync(file, rules)
  return file
}

const upload = (repository: string) => `/v2/${repository}/blobs/uploads/`
const tag = (repository: string) => `/v2/${repository}/manifests/v1`

describe('a freeze', () => {
  it('holds new pushes until it ends, and neither pulls nor pings', async () => {
    const { upstream, sidecar, ask, waits } = await setScene()
    await freezeFor(sidecar, MINUTE_MS)
    const held = ['POST', 'PATCH', 'PUT', 'DELETE'].map((method) => ask(method, tag('new')))
    await waits(4)
    expect((await ask('GET', '/v2/')).status).toBe(200)
    for (const target of [tag('new'), `/v2/new/blobs/${DIGEST}`, '/v2/new/tags/list', '/v2/_catalog'])
      expect((await ask('GET', target)).status).toBe(200)
    expect((await ask('HEAD', tag('new'))).status).toBe(200)
    expect((await ask('OPTIONS', tag('new'))).status).toBe(200)
    for (const method of ['POST', 'PATCH', 'PUT', 'DELETE']) expect(arrivals(upstream, `${method} `)).toBe(0)

    await thawNow(sidecar)
    const statuses = (await Promise.all(held)).map(({ status }) => status)
    expect(statuses).toEqual([201, 201, 201, 200])
    await waits(0)
  })

  it('keeps the connection of a waiting write when its source reaches the limit', async () => {
    const { sidecar, ask, waits } = await setScene({ env: { SIDECAR_MAX_CONNECTIONS_PER_SOURCE: '2' } })
    await freezeFor(sidecar, MINUTE_MS)
    const held = ask('POST', upload('new'))
    await waits(1)
    const silent = [await sidecar.connect(), await sidecar.connect()]
    await until(() => silent[0]?.closed === true, {
      deadlineMs: SOON_MS,
      what: 'a silent connection is closed',
    })
    await thawNow(sidecar)
    expect((await held).status).toBe(201)
  })

  it('acts within a second', async () => {
    const { sidecar } = await setScene()
    const file = path.join(sidecar.folder, 'state', 'freeze.json')
    await writeFreeze(file, newFreeze(MINUTE_MS))
    await until(() => isFrozen(sidecar), { deadlineMs: 1_000, what: 'frozen' })
    await thawNow(sidecar)
    await until(async () => !(await isFrozen(sidecar)), { deadlineMs: 1_000, what: 'thawed' })
  })

  it('lets a running push go on until its repository has been quiet for 15 s', async () => {
    const clocks = createFreezeClocks()
    const { sidecar, ask, waits } = await setScene(clocks)
    expect((await ask('POST', upload('running'))).status).toBe(201)
    clocks.advance(10_000)
    await freezeFor(sidecar, 10 * MINUTE_MS)
    for (let step = 0; step < 4; step++) {
      expect((await ask('PATCH', `${upload('running')}1`)).status).toBe(201)
      clocks.advance(14_000)
    }
    expect((await sidecar.readiness()).parts.freeze.reason).toMatch(/; running pushes: 1, waiting writes: 0$/)
    clocks.advance(2_000)
    expect((await sidecar.readiness()).parts.freeze.reason).toMatch(/; running pushes: 0, waiting writes: 0$/)
    const held = ask('PUT', tag('running'))
    await waits(1)
    await thawNow(sidecar)
    expect((await held).status).toBe(201)
  })

  it('after 15 s holds the next push of a client that has just written a tag', async () => {
    const clocks = createFreezeClocks()
    const { sidecar, ask, waits } = await setScene(clocks)
    await ask('POST', upload('busy'))
    await freezeFor(sidecar, 10 * MINUTE_MS)
    clocks.advance(14_000)
    // Within 15 s a tag does not end the push, because tags of several platforms may follow.
    await ask('PUT', tag('busy'))
    expect((await ask('POST', upload('busy'))).status).toBe(201)
    clocks.advance(2_000)
    expect((await ask('PUT', `/v2/busy/manifests/${DIGEST}`)).status).toBe(201)
    expect((await ask('PUT', tag('busy'))).status).toBe(201)
    const held = ask('POST', upload('busy'))
    await waits(1)
    await thawNow(sidecar)
    expect((await held).status).toBe(201)
  })

  it('refuses a write that waited for 60 s, and one of containerd after 25 s', async () => {
    const clocks = createFreezeClocks()
    const { upstream, sidecar, ask, waits } = await setScene(clocks)
    await freezeFor(sidecar, 10 * MINUTE_MS)
    const containerd = ask('POST', upload('a'), { headers: { 'User-Agent': 'containerd/v2.1.0' } })
    const docker = ask('POST', upload('a'), { headers: { 'User-Agent': 'docker/20.10 go/1.19' } })
    await waits(2)
    clocks.fireTimers(25_000)
    await waits(1)
    clocks.fireTimers(60_000)
    for (const answer of [await containerd, await docker]) {
      expect(answer).toMatchObject({ status: 503, headers: { 'retry-after': '5' } })
      expect(JSON.parse(answer.body.toString())).toMatchObject({ errors: [{ code: 'UNAVAILABLE' }] })
    }
    expect(arrivals(upstream, 'POST')).toBe(0)
    expect((await scrape(sidecar)).get('registry_sidecar_writes_refused_total')).toBe(2)
  })

  it('ends by itself, also while a write waits', async () => {
    const clocks = createFreezeClocks()
    const { sidecar, ask, waits } = await setScene(clocks)
    await freezeFor(sidecar, MINUTE_MS)
    const held = ask('POST', upload('a'))
    await waits(1)
    clocks.advance(2 * MINUTE_MS)
    clocks.fireTimers(1_000)
    expect((await held).status).toBe(201)
    const { lines } = sidecar
    expect(lines.find(({ event }) => event === 'thawed')).toMatchObject({ reason: 'its time is over' })
  })

  it('holds the question for a layer, because the push would skip it, unless the client may only pull', async () => {
    const rules = 'rules:\n  - {who: alice, repositories: ["team/**"], allow: [pull]}\n'
    const { sidecar, ask, waits } = await setScene()
    const readers = await setScene({ env: { SIDECAR_ACCESS: rulesFile(rules) } })
    await freezeFor(sidecar, MINUTE_MS)
    await freezeFor(readers.sidecar, MINUTE_MS)
    expect((await readers.ask('HEAD', `/v2/team/app/blobs/${DIGEST}`)).status).toBe(200)
    const held = ask('HEAD', `/v2/team/app/blobs/${DIGEST}`)
    await waits(1)
    await thawNow(sidecar)
    expect((await held).status).toBe(200)
  })

  it('counts a question for a layer as the beginning of a push, but is not prolonged by questions', async () => {
    const clocks = createFreezeClocks()
    const { sidecar, ask, waits } = await setScene(clocks)
    await ask('HEAD', `/v2/app/blobs/${DIGEST}`)
    await freezeFor(sidecar, 10 * MINUTE_MS)
    clocks.advance(10_000)
    expect((await ask('HEAD', `/v2/app/blobs/${DIGEST}`)).status).toBe(200)
    clocks.advance(6_000)
    const held = ask('HEAD', `/v2/app/blobs/${DIGEST}`)
    await waits(1)
    await thawNow(sidecar)
    expect((await held).status).toBe(200)
  })

  it('refuses a write whose user was removed while it waited', async () => {
    const { upstream, sidecar, ask, waits } = await setScene()
    await freezeFor(sidecar, MINUTE_MS)
    const held = ask('POST', upload('a'))
    await waits(1)
    sidecar.writeUsers(ALICE_ENTRY.replace('alice', 'bob'))
    await until(() => sidecar.users.table.entries.has('bob'), { deadlineMs: SOON_MS, what: 'the new users' })
    await thawNow(sidecar)
    expect((await held).status).toBe(401)
    expect(arrivals(upstream, 'POST')).toBe(0)
  })

  it('forgets a client that leaves, and does not invite a body that must wait', async () => {
    const { upstream, sidecar, waits } = await setScene()
    await freezeFor(sidecar, MINUTE_MS)
    const socket = await sidecar.connect()
    let answer = ''
    socket.on('data', (chunk: Buffer) => (answer += chunk.toString()))
    const basic = Buffer.from(ALICE).toString('base64')
    socket.write(
      `PUT ${tag('a')} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic ${basic}\r\n` +
        'Expect: 100-continue\r\nContent-Length: 2\r\n\r\n',
    )
    await waits(1)
    expect(answer).toBe('')
    socket.destroy()
    await waits(0)
    await thawNow(sidecar)
    await until(async () => !(await isFrozen(sidecar)), { deadlineMs: SOON_MS, what: 'thawed' })
    expect(arrivals(upstream, 'PUT')).toBe(0)
  })

  it('lets at most 64 writes of one user wait', async () => {
    const { sidecar, ask, waits } = await setScene()
    await freezeFor(sidecar, MINUTE_MS)
    const held = Array.from({ length: 64 }, (_, index) => ask('POST', upload(`a${index}`)))
    await waits(64)
    expect(await ask('POST', upload('b'))).toMatchObject({ status: 503, headers: { 'retry-after': '30' } })
    await thawNow(sidecar)
    for (const one of held) expect((await one).status).toBe(201)
  })

  it('does not delay a stop: writes that wait are refused', async () => {
    const { sidecar, ask, waits } = await setScene()
    await freezeFor(sidecar, MINUTE_MS)
    const held = ask('POST', upload('a'))
    await waits(1)
    const drained = sidecar.drain(30_000)
    expect((await held).status).toBe(503)
    expect(await drained).toBe(true)
  })

  it('is shown by the metrics, the log and the audit stream, and leaves the sidecar ready', async () => {
    const audit = path.join(tempFolder(), 'audit.log')
    const { sidecar } = await setScene({ env: { SIDECAR_AUDIT: audit } })
    const freeze = await freezeFor(sidecar, MINUTE_MS)
    const end = new Date(freeze.until).toISOString()
    expect(await sidecar.readiness()).toMatchObject({
      parts: {
        freeze: {
          ready: true,
          state: 'frozen',
          reason: `until ${end}; running pushes: 0, waiting writes: 0`,
        },
      },
    })
    const metrics = await scrape(sidecar)
    expect(metrics.get('registry_sidecar_frozen')).toBe(1)
    expect(metrics.get('registry_sidecar_frozen_until_timestamp_seconds')).toBe(freeze.until / 1000)
    const [frozen, thawed] = [
      { event: 'frozen', until: end, by: 'test@test' },
      { event: 'thawed', reason: 'thawed by a command' },
    ]
    expect(sidecar.lines.find(({ event }) => event === 'frozen')).toMatchObject(frozen)
    await thawNow(sidecar)
    const recorded = () => readFileSync(audit, 'utf8')
    const isThawed = () => recorded().includes('"thawed"')
    await until(isThawed, { deadlineMs: SOON_MS, what: 'the audit line' })
    const lines = recorded().trim().split('\n')
    const events = lines.map((line) => JSON.parse(line) as { event: string })
    expect(events.filter(({ event }) => event !== 'file-loaded')).toMatchObject([frozen, thawed])
    expect(sidecar.lines.find(({ event }) => event === 'thawed')).toMatchObject(thawed)
  })

  it('lets pulls wait for a registry that restarts', async () => {
    const { upstream, sidecar, ask } = await setScene()
    await freezeFor(sidecar, MINUTE_MS)
    upstream.stop()
    const pulls = ['GET', 'HEAD'].map((method) => ask(method, tag('app')))
    const failure = 'registry_sidecar_upstream_failures_total{kind="unreachable"}'
    const restarted = http.createServer((_, answer) => answer.end())
    // The first attempts have failed when the next request of another kind has failed, too.
    expect((await ask('OPTIONS', tag('app'))).status).toBe(502)
    restarted.listen(upstream.port, '127.0.0.1')
    onTestFinished(() => {
      restarted.close()
      restarted.closeAllConnections()
    })
    for (const pull of pulls) expect((await pull).status).toBe(200)
    expect((await scrape(sidecar)).get(failure)).toBe(1)
  })
})
