import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import https from 'node:https'
import net from 'node:net'
import path from 'node:path'
import tls from 'node:tls'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { createClientAuthority, type ClientPair } from '../fixtures/client-authority.ts'
import { moveInto } from '../fixtures/own-certificate.ts'
import { answering, OK, upstreamForTest, type Behavior } from '../fixtures/programmable-upstream.ts'
import { askAdmin } from '../fixtures/scrape.ts'
import { askByOpenssl } from '../fixtures/session.ts'
import { ALICE, sidecarForTest, type TestSettings, type TestSidecar } from '../fixtures/sidecar.ts'
import { tempFolder } from '../fixtures/temp-folder.ts'
import { until } from '../fixtures/until.ts'
import { basic, createWire, get } from '../fixtures/wire.ts'

const former = createClientAuthority()
const next = createClientAuthority()
const alice = former.issue({ subject: 'alice' })

interface Scene {
  readonly sidecar: TestSidecar
  readonly caFile: string
  readonly upstream: Awaited<ReturnType<typeof upstreamForTest>>
}

async function setScene(
  behave: Behavior = answering(OK),
  { env, ...settings }: TestSettings = {},
): Promise<Scene> {
  const caFile = path.join(tempFolder(), 'client-ca.pem')
  writeFileSync(caFile, former.cert)
  const upstream = await upstreamForTest(behave)
  const sidecar = await sidecarForTest({
    ...settings,
    upstreamPort: upstream.port,
    env: { SIDECAR_TLS_CLIENT_CA: caFile, SIDECAR_TLS_CLIENT_AUTH: 'instead', ...env },
  })
  return { sidecar, caFile, upstream }
}

/** Opens a connection with a client certificate. */
async function connect({ sidecar }: Scene, pair: ClientPair): Promise<tls.TLSSocket> {
  const { port, root } = sidecar
  const socket = tls.connect({ host: '127.0.0.1', port, ca: root.pem, servername: 'localhost', ...pair })
  socket.on('error', () => undefined)
  await once(socket, 'secureConnect')
  return socket
}

/** Sends a request and resolves to its answer. */
function ask(socket: tls.TLSSocket, ...lines: readonly string[]): Promise<string> {
  return createWire(socket).send(get('/v2/', ...lines))
}

/** Resolves when a connection closes, with or without an error. */
function closeOf(socket: tls.TLSSocket): Promise<void> {
  return new Promise((resolve) => {
    socket.once('close', () => {
      resolve()
    })
  })
}

async function stateOf({ sidecar }: Scene): Promise<unknown> {
  const { text } = await askAdmin(sidecar, '/readyz')
  return (JSON.parse(text) as { parts: Record<string, unknown> }).parts['clientCa']
}

describe('a client CA that is replaced', () => {
  it('is refused within a second, and its idle connections are closed', async () => {
    const scene = await setScene(answering(OK), { env: { SIDECAR_WATCH_POLL: 'off' } })
    const idle = await connect(scene, alice)
    expect(await ask(idle)).toMatch(/^HTTP\/1\.1 200/)
    const closed = closeOf(idle)
    const agent = new https.Agent({ keepAlive: true, maxSockets: 1 })
    const statusOf = async (pair: ClientPair) =>
      (await scene.sidecar.request({ path: '/v2/', agent, ...pair }).catch(() => undefined))?.status
    expect(await statusOf(alice)).toBe(200)

    moveInto(scene.caFile, next.cert)
    await until(async () => (await statusOf(alice)) === 403, { deadlineMs: 1_000, what: 'the refusal' })
    await closed
    expect(await statusOf(next.issue({ subject: 'alice' }))).toBe(200)
    agent.destroy()
  })

  it('lets a transfer finish and then closes its connection', async () => {
    let release: (() => void) | undefined
    const scene = await setScene((_, socket) => {
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello')
      release = () => socket.write('world')
    })
    const socket = await connect(scene, alice)
    let received = ''
    socket.on('data', (chunk: Buffer) => (received += chunk.toString()))
    const closed = closeOf(socket)
    socket.write(get('/v2/'))
    await until(() => received.includes('hello'), { deadlineMs: 2_000, what: 'the beginning' })
    writeFileSync(scene.caFile, next.cert)
    await scene.sidecar.reload()
    socket.write(get('/v2/'))
    release?.()
    await closed
    expect(received).toContain('helloworld')
    expect(received).not.toMatch(/^HTTP\/1\.1 (?!200)/m)
    expect(scene.upstream.received).toHaveLength(1)
  })

  it.each<[what: string, pair: ClientPair]>([
    ['with a certificate that was valid then', alice],
    ['with one that is valid now and must connect again', next.issue({ subject: 'alice' })],
  ])('refuses requests on a handshake that began under it, %s', async (_what, pair) => {
    const scene = await setScene()
    // The test holds the bytes of the handshake until the CAs have changed.
    const raw = net.connect(scene.sidecar.port, '127.0.0.1')
    await once(raw, 'connect')
    // Connections are accepted in order, so after this answer the sidecar has accepted the other one too.
    await scene.sidecar.request({ path: '/-/ca.crt' })
    writeFileSync(scene.caFile, next.cert)
    await scene.sidecar.reload()
    const socket = tls.connect({ socket: raw, ca: scene.sidecar.root.pem, servername: 'localhost', ...pair })
    socket.on('error', () => undefined)
    await once(socket, 'secureConnect')
    expect(await ask(socket)).toMatch(
      /^HTTP\/1\.1 503 [^]*Retry-After: 1\r\n[^]*Connection: close\r\n[^]*have changed: connect again/i,
    )
    expect(scene.upstream.received).toEqual([])
  })

  it('refuses a request whose password was being checked during the change', async () => {
    // Cost 14, so that the check takes longer than the change.
    const users = 'alice:$2b$14$vn1qfUxKyeE.B8sf1qaJou9orA/Fn7nwwQ1amBFhJTy9prFMEy/f2\n'
    const scene = await setScene(answering(OK), { env: { SIDECAR_TLS_CLIENT_AUTH: 'require' }, users })
    const socket = await connect(scene, alice)
    const answer = ask(socket, basic(ALICE))
    await until(() => scene.sidecar.comparisons === 1, { deadlineMs: 5_000, what: 'the check has begun' })
    writeFileSync(scene.caFile, next.cert)
    await scene.sidecar.reload()
    expect(await answer).toMatch(/^HTTP\/1\.1 503 /)
    expect(scene.sidecar.comparisons).toBe(1)
    expect(scene.upstream.received).toEqual([])
  })

  it('is unchanged if only comments or the order change: nothing is closed', async () => {
    const scene = await setScene()
    const socket = await connect(scene, alice)
    await ask(socket)
    writeFileSync(scene.caFile, `# ours\n${former.cert}`)
    await scene.sidecar.reload()
    expect(await ask(socket)).toMatch(/^HTTP\/1\.1 200/)
    socket.destroy()
  })

  it('is also refused if a CA that stays in the file has expired, which is logged once', async () => {
    const ended = createClientAuthority({ notAfter: new Date(Date.now() - 3_600_000) })
    const scene = await setScene()
    expect((await scene.sidecar.request({ path: '/v2/', ...alice })).status).toBe(200)
    for (const comment of ['', '# ours\n']) {
      writeFileSync(scene.caFile, comment + ended.cert + next.cert)
      await scene.sidecar.reload()
    }
    expect((await scene.sidecar.request({ path: '/v2/', ...alice })).status).toBe(403)
    const byNext = next.issue({ subject: 'alice' })
    expect((await scene.sidecar.request({ path: '/v2/', ...byNext })).status).toBe(200)
    expect(await stateOf(scene)).toMatchObject({ state: 'ok' })
    const logged = scene.sidecar.lines.filter(({ msg }) => String(msg).endsWith('is left out'))
    expect(logged).toMatchObject([
      { file: scene.caFile, certificate: 1, hint: expect.stringMatching(/^remove it/) as string },
    ])
  })

  it.each<[what: string, text: string, reason: RegExp]>([
    ['broken', 'nonsense', /holds no readable certificate/],
    ['empty', '', /holds no readable certificate/],
    ['a client’s certificate', alice.cert, /not a CA certificate/],
  ])('stays in use if the replacement is %s, and /readyz says stale', async (_what, text, reason) => {
    const scene = await setScene()
    const socket = await connect(scene, alice)
    expect(await stateOf(scene)).toMatchObject({
      ready: true,
      state: 'ok',
      reason: expect.stringMatching(/^1 accepted; the earliest expires in 8 days/) as string,
    })
    writeFileSync(scene.caFile, text)
    await expect(scene.sidecar.reload()).rejects.toThrow(reason)
    expect(await stateOf(scene)).toMatchObject({
      ready: true,
      state: 'stale',
      reason: expect.stringMatching(reason) as string,
    })
    expect(await ask(socket)).toMatch(/^HTTP\/1\.1 200/)
    socket.destroy()
  })
})

describe.each(['tls1_2', 'tls1_3'] as const)('a session of %s', (version) => {
  it('restores neither a certificate nor its absence', async () => {
    const { sidecar } = await setScene()
    const folder = tempFolder()
    const files = { 'root.crt': sidecar.root.pem, 'client.crt': alice.cert, 'client.key': alice.key }
    for (const [name, text] of Object.entries(files)) writeFileSync(path.join(folder, name), text)
    const own = ['-cert', 'client.crt', '-key', 'client.key']
    const openssl = (...args: readonly string[]) =>
      askByOpenssl({ port: sidecar.port, folder, version, args })

    expect(await openssl(...own, '-sess_out', 'with')).toMatch(/HTTP\/1\.1 200/)
    expect(await openssl('-sess_out', 'without')).toMatch(/HTTP\/1\.1 403/)
    for (const session of ['with', 'without']) {
      const answer = await openssl('-sess_in', session)
      expect(answer).toMatch(/HTTP\/1\.1 403/)
      expect(answer).not.toMatch(/^Reused/m)
    }
  })
})

it('a handshake is valid for an hour; then the connection ends with its next answer', async () => {
  const scene = await setScene()
  const socket = await connect(scene, alice)
  expect(await ask(socket)).toMatch(/\r\nConnection: keep-alive\r\n/)
  const now = performance.now.bind(performance)
  vi.spyOn(performance, 'now').mockImplementation(() => now() + 3_600_000)
  onTestFinished(() => {
    vi.restoreAllMocks()
  })
  expect(await ask(socket)).toMatch(/^HTTP\/1\.1 200 [^]*\r\nConnection: close\r\n/)
})
