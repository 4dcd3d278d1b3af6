import { execFile } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import https from 'node:https'
import type { AddressInfo } from 'node:net'
import path from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest'
import { createClientAuthority, type ClientPair } from '../fixtures/client-authority.ts'
import { findProgram } from '../fixtures/find-program.ts'
import {
  ALICE,
  ALICE_ENTRY,
  startSidecar,
  type TestRequest,
  type TestResponse,
  type TestSidecar,
} from '../fixtures/sidecar.ts'
import { makeTempFolder, removeFolder, tempFolder } from '../fixtures/temp-folder.ts'
import { until } from '../fixtures/until.ts'

const DAY_MS = 86_400_000
const inDays = (days: number) => new Date(Date.now() + days * DAY_MS)
const curl = findProgram('curl')

const authority = createClientAuthority()
const alice = authority.issue({ subject: 'alice' })
const folder = makeTempFolder()
const caFile = path.join(folder, 'client-ca.pem')

beforeAll(async () => {
  writeFileSync(caFile, authority.cert)
  writeFileSync(peopleFile, people.cert + authority.cert)
  await once(registry.listen(0, '127.0.0.1'), 'listening')
})
afterAll(async () => {
  await Promise.all([...started.values()].map(async (sidecar) => (await sidecar).stop()))
  registry.close()
  removeFolder(folder)
})

interface Scene {
  readonly sidecar: TestSidecar
  /** Heads of requests that reached the registry during this test. */
  readonly received: () => readonly IncomingHttpHeaders[]
  /** Requests /v2/ with this certificate. */
  readonly ask: (pair: ClientPair | undefined, request?: TestRequest) => Promise<TestResponse>
  /** The last access log line. */
  readonly line: () => Promise<Record<string, unknown>>
  /** The log lines of refused logins during this test. */
  readonly audited: () => readonly Record<string, unknown>[]
}

const heads: IncomingHttpHeaders[] = []
const registry = createServer((request, response) => {
  heads.push(request.headers)
  response.end('ok')
})
const started = new Map<string, Promise<TestSidecar>>()
// A late line of an earlier test must not count.
const askedOf = new Map<TestSidecar, number>()

// Tests with the same settings share a sidecar because its start is slow.
async function setScene(env: Readonly<Record<string, string>>): Promise<Scene> {
  const key = JSON.stringify(env)
  const upstreamPort = (registry.address() as AddressInfo).port
  const starting =
    started.get(key) ?? startSidecar({ upstreamPort, env: { SIDECAR_TLS_CLIENT_CA: caFile, ...env } })
  started.set(key, starting)
  const sidecar = await starting
  const linesOf = (msg: string) => sidecar.lines.filter((line) => line['msg'] === msg)
  const asked = () => askedOf.get(sidecar) ?? 0
  const before = { heads: heads.length, audited: linesOf('login refused').length }
  return {
    sidecar,
    received: () => heads.slice(before.heads),
    ask: (pair, request = {}) => {
      askedOf.set(sidecar, asked() + 1)
      return sidecar.request({ path: '/v2/', ...pair, ...request })
    },
    line: async () => {
      const lines = () => linesOf('request')
      await until(() => lines().length >= asked(), { deadlineMs: 2_000, what: 'the line of the request' })
      return lines().at(-1) ?? {}
    },
    audited: () => linesOf('login refused').slice(before.audited),
  }
}

const messageOf = ({ body }: TestResponse): string => {
  const { errors } = JSON.parse(body.toString()) as { errors: { code: string; message: string }[] }
  return `${errors[0]?.code ?? ''} ${errors[0]?.message ?? ''}`
}

/** Keeps one connection until the test ends. */
function agentForTest(): https.Agent {
  const agent = new https.Agent({ keepAlive: true, maxSockets: 1 })
  onTestFinished(() => {
    agent.destroy()
  })
  return agent
}

const byForeigner = createClientAuthority().issue({ subject: 'alice' })
const middle = authority.issueAuthority()
const behindMiddle = middle.issue({ subject: 'alice' })

describe.each(['require', 'instead'])('with SIDECAR_TLS_CLIENT_AUTH=%s', (mode) => {
  const env = { SIDECAR_TLS_CLIENT_AUTH: mode }

  it.each<[what: string, pair: ClientPair | undefined, message: RegExp, reason: string]>([
    [
      'none',
      undefined,
      /^DENIED this registry demands a client certificate and got none: put client\.cert/,
      'no client certificate',
    ],
    [
      'another authority’s',
      byForeigner,
      /^DENIED .*not signed by an authority/,
      'client certificate not from an accepted authority',
    ],
    ['the certificate of a CA', authority, /not made for clients/, 'client certificate not made for clients'],
    [
      'one that is sent without its chain',
      behindMiddle,
      /append the intermediates/,
      'client certificate not from an accepted authority',
    ],
    [
      'an expired one',
      authority.issue({ notBefore: inDays(-3), notAfter: inDays(-1) }),
      /has expired; ask its issuer/,
      'client certificate expired',
    ],
    [
      'one that is valid from tomorrow',
      authority.issue({ notBefore: inDays(1) }),
      /not valid yet/,
      'client certificate not valid yet',
    ],
    [
      'a server’s',
      authority.issue({ extendedKeyUsage: 'serverAuth' }),
      /not made for clients; .*clientAuth/,
      'client certificate not made for clients',
    ],
  ])('refuses %s with a sentence, and nothing reaches the registry', async (_what, pair, message, reason) => {
    const { ask, line, received, audited, sidecar } = await setScene(env)
    const before = sidecar.comparisons
    const answer = await ask(pair, { as: ALICE })
    expect(answer.status).toBe(403)
    expect(answer.headers['content-type']).toBe('application/json')
    expect(answer.headers['docker-distribution-api-version']).toBe('registry/2.0')
    expect(messageOf(answer)).toMatch(message)
    expect(received()).toEqual([])
    expect(await line()).toMatchObject({ status: 403, reason })
    expect(audited()).toHaveLength(pair === undefined ? 0 : 1)
    expect(sidecar.comparisons).toBe(before)
  })

  it('serves the root without a client certificate', async () => {
    const { ask } = await setScene(env)
    expect((await ask(undefined, { path: '/-/ca.crt' })).status).toBe(200)
  })

  it.each<[what: string, pair: ClientPair]>([
    ['one that the CA signed', alice],
    ['one without extended key usage', authority.issue({ subject: 'alice', extendedKeyUsage: null })],
    ['one with its intermediate', { ...behindMiddle, cert: behindMiddle.cert + middle.cert }],
  ])('accepts %s', async (_what, pair) => {
    const { ask } = await setScene(env)
    expect((await ask(pair, { as: ALICE })).status).toBe(200)
  })
})

describe('with SIDECAR_TLS_CLIENT_AUTH=require', () => {
  it('refuses an expired certificate, also on an existing connection', async () => {
    // OpenSSL uses another clock and would accept a new connection.
    const clock = vi.spyOn(Date, 'now')
    onTestFinished(() => {
      clock.mockRestore()
    })
    // A realm of its own gives this test a new sidecar, which must start with that clock.
    const { ask, line } = await setScene({ SIDECAR_REALM: 'Ends' })
    const agent = agentForTest()
    const end = new Date(Math.ceil(Date.now() / 1_000) * 1_000 + 3_600_000)
    const soon = authority.issue({ subject: 'alice', notAfter: end })
    clock.mockReturnValue(end.getTime() - 1)
    expect((await ask(soon, { agent, as: ALICE })).status).toBe(200)
    clock.mockReturnValue(end.getTime())
    expect((await ask(soon, { agent, as: ALICE })).status).toBe(403)
    expect(await line()).toMatchObject({ reason: 'client certificate expired' })
  })

  it('is the default and also requires the password', async () => {
    const { ask, line, received } = await setScene({})
    const challenged = await ask(alice)
    expect([challenged.status, challenged.headers['www-authenticate']]).toEqual([
      401,
      'Basic realm="Registry"',
    ])
    expect((await ask(alice, { as: 'alice:wrong' })).status).toBe(401)
    expect(received()).toEqual([])
    expect((await ask(alice, { as: ALICE })).status).toBe(200)
    expect(await line()).toMatchObject({ user: 'alice', clientCertificate: 'alice' })
  })

  it('accepts any user on a machine’s certificate and logs the name in the certificate', async () => {
    const { ask, line } = await setScene({})
    expect((await ask(authority.issue({ subject: 'build machine' }), { as: ALICE })).status).toBe(200)
    expect(await line()).toMatchObject({ user: 'alice', clientCertificate: 'build machine' })
    const nameless = authority.issue({ subject: [[{ value: 'a' }, { value: 'b' }]] })
    expect((await ask(nameless, { as: ALICE })).status).toBe(200)
    expect(await line()).toMatchObject({ user: 'alice', clientCertificate: true })
  })
})

describe('with SIDECAR_TLS_CLIENT_AUTH=instead', () => {
  const env = { SIDECAR_TLS_CLIENT_AUTH: 'instead' }

  it('uses the name as the user, asks for no password, and sends the name to the registry', async () => {
    const { ask, line, received, sidecar } = await setScene(env)
    expect((await ask(alice)).status).toBe(200)
    expect(await line()).toMatchObject({ user: 'alice', clientCertificate: 'alice', status: 200 })
    expect(received()).toMatchObject([{ 'x-forwarded-user': 'alice' }])
    expect(sidecar.comparisons).toBe(0)
  })

  it('ignores credentials and never forwards them', async () => {
    const { ask, line, received, sidecar } = await setScene(env)
    expect((await ask(alice, { as: 'bob:some other password' })).status).toBe(200)
    expect(await line()).toMatchObject({ user: 'alice' })
    expect(JSON.stringify(received())).not.toMatch(/authorization|bob/i)
    expect(sidecar.comparisons).toBe(0)
  })

  it('accepts a name only while it is in the users file', async () => {
    const { ask, line, sidecar } = await setScene(env)
    const bob = authority.issue({ subject: 'bob' })
    const agent = agentForTest()
    const refused = await ask(bob, { agent, as: ALICE })
    expect([refused.status, messageOf(refused)]).toEqual([
      403,
      expect.stringContaining('no user of this registry'),
    ])
    expect(await line()).toMatchObject({ reason: 'client certificate of no user', clientCertificate: 'bob' })
    sidecar.writeUsers(`${ALICE_ENTRY}bob:$2b$04$${'a'.repeat(53)}\n`)
    await sidecar.reload()
    expect((await ask(bob, { agent })).status).toBe(200)
    sidecar.writeUsers(ALICE_ENTRY)
    await sidecar.reload()
    expect((await ask(bob, { agent })).status).toBe(403)
  })

  it('refuses everyone before a users file exists', async () => {
    const { ask, sidecar } = await setScene({ ...env, SIDECAR_USERS: path.join(tempFolder(), 'missing') })
    const answer = await ask(alice)
    expect([answer.status, messageOf(answer)]).toEqual([503, 'UNAVAILABLE no users are configured'])
    expect(sidecar.users.isLoaded).toBe(false)
  })

  it.each<[what: string, subject: Parameters<typeof authority.issue>[0]]>([
    ['another name behind a comma', { subject: 'mallory, CN=alice' }],
    ['an alternative name', { subject: 'mallory', altNames: [{ tag: 2, value: 'alice' }] }],
    ['a second common name', { subject: [[{ value: 'mallory' }], [{ value: 'alice' }]] }],
    ['a second one in one RDN', { subject: [[{ value: 'mallory' }, { value: 'alice' }]] }],
    ['a line break', { subject: 'mallory\nCN=alice' }],
    ['NUL', { subject: 'alice\0mallory' }],
    ['another case', { subject: 'ALICE' }],
    ['a blank', { subject: 'alice ' }],
    ['the name of an object property', { subject: '__proto__' }],
  ])('does not accept a client as alice because of %s', async (_what, request) => {
    const { ask, received, audited } = await setScene(env)
    expect((await ask(authority.issue(request))).status).toBe(403)
    expect(received()).toEqual([])
    expect(JSON.stringify(audited())).not.toContain('mallory')
  })

  it('reads the name from the field in SIDECAR_TLS_CLIENT_NAME', async () => {
    const { ask, line } = await setScene({ ...env, SIDECAR_TLS_CLIENT_NAME: 'uri:spiffe://lab/user/*' })
    const altNames = [{ tag: 6, value: 'spiffe://lab/user/alice' }]
    expect((await ask(authority.issue({ subject: 'x', altNames }))).status).toBe(200)
    expect(await line()).toMatchObject({ user: 'alice' })
    expect((await ask(alice)).status).toBe(403)
    expect((await line())['reason']).toBe(
      'client certificate with no URI that matches SIDECAR_TLS_CLIENT_NAME',
    )
  })

  it('neither waits for the throttle nor counts for it', async () => {
    const { ask } = await setScene({ ...env, SIDECAR_THROTTLE: '1/1m' })
    for (let i = 0; i < 3; i++) expect((await ask(byForeigner)).status).toBe(403)
    expect((await ask(alice)).status).toBe(200)
  })
})

describe('with SIDECAR_TLS_CLIENT_AUTH=optional', () => {
  const env = { SIDECAR_TLS_CLIENT_AUTH: 'optional' }

  it('accepts a certificate or a password', async () => {
    const { ask, line } = await setScene(env)
    expect((await ask(alice)).status).toBe(200)
    expect(await line()).toMatchObject({ user: 'alice', clientCertificate: 'alice' })
    expect((await ask(undefined)).status).toBe(401)
    expect((await ask(undefined, { as: ALICE })).status).toBe(200)
    expect(await line()).not.toHaveProperty('clientCertificate')
  })

  it('ignores an invalid certificate and logs the problem', async () => {
    const { ask, line } = await setScene(env)
    expect((await ask(byForeigner)).status).toBe(401)
    expect((await ask(byForeigner, { as: ALICE })).status).toBe(200)
    expect(await line()).toMatchObject({
      certificateProblem: 'client certificate not from an accepted authority',
    })
  })

  it('refuses a valid certificate of an unknown user, also with a right password', async () => {
    const { ask } = await setScene(env)
    expect((await ask(authority.issue({ subject: 'mallory' }), { as: ALICE })).status).toBe(403)
  })
})

const people = authority.issueAuthority({ subject: 'people' })
const printers = authority.issueAuthority({ subject: 'printers' })
const peopleFile = path.join(folder, 'people.pem')

describe.each(['TLSv1.2', 'TLSv1.3'] as const)('with intermediate and root in the file, by %s', (version) => {
  const agent = () => new https.Agent({ maxVersion: version, minVersion: version })
  const sending = ({ cert, key }: ClientPair, ...chain: readonly ClientPair[]): ClientPair => ({
    cert: [cert, ...chain.map((one) => one.cert)].join(''),
    key,
  })
  const scene = () => setScene({ SIDECAR_TLS_CLIENT_AUTH: 'instead', SIDECAR_TLS_CLIENT_CA: peopleFile })

  it.each<[what: string, pair: ClientPair]>([
    ['alone', people.issue()],
    ['with the intermediate', sending(people.issue(), people)],
    ['with the whole chain', sending(people.issue(), people, authority)],
  ])('clients of the intermediate are accepted when they send their certificate %s', async (_what, pair) => {
    const { ask } = await scene()
    expect((await ask(pair, { agent: agent() })).status).toBe(200)
  })

  it.each<[what: string, pair: ClientPair]>([
    ['the sibling’s', sending(printers.issue(), printers)],
    ['of the sibling, also with the intermediate sent along', sending(printers.issue(), printers, people)],
    ['of the root itself', alice],
    ['of the root itself, also with the intermediate sent along', sending(alice, people)],
  ])('clients are refused: %s', async (_what, pair) => {
    const { ask, line, received } = await scene()
    const answer = await ask(pair, { agent: agent() })
    expect([answer.status, messageOf(answer)]).toEqual([
      403,
      expect.stringContaining('not signed by an authority'),
    ])
    expect(await line()).toMatchObject({ reason: 'client certificate not from an accepted authority' })
    expect(received()).toEqual([])
  })
})

it.skipIf(curl === undefined)('curl is accepted with --cert, and without it gets the reason', async () => {
  const { sidecar } = await setScene({ SIDECAR_TLS_CLIENT_AUTH: 'instead' })
  const cwd = tempFolder()
  writeFileSync(path.join(cwd, 'ca.crt'), sidecar.root.pem)
  writeFileSync(path.join(cwd, 'client.cert'), alice.cert)
  writeFileSync(path.join(cwd, 'client.key'), alice.key)
  const url = `https://localhost:${sidecar.port}/v2/`
  const call = (...args: string[]) =>
    promisify(execFile)(curl ?? '', ['-sS', '--cacert', 'ca.crt', ...args, url], { cwd })
  expect((await call('--cert', 'client.cert', '--key', 'client.key')).stdout).toBe('ok')
  expect((await call()).stdout).toMatch(/demands a client certificate/)
})

it('an unusable CA file ends the start, and the error names the fix', async () => {
  const file = path.join(tempFolder(), 'ca.pem')
  const start = () => startSidecar({ env: { SIDECAR_TLS_CLIENT_CA: file } })
  await expect(start()).rejects.toThrow(/ca\.pem: is missing/)
  writeFileSync(file, alice.cert)
  await expect(start()).rejects.toThrow(/ca\.pem: certificate number 1 is not a CA/)
})
