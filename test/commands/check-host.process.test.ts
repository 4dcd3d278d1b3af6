import { mkdirSync, writeFileSync } from 'node:fs'
import { createServer as createHttpServer, type RequestListener } from 'node:http'
import { createServer as createHttpsServer, type ServerOptions } from 'node:https'
import { createServer, type AddressInfo, type Server } from 'node:net'
import path from 'node:path'
import { PassThrough } from 'node:stream'
import { describe, expect, it, onTestFinished } from 'vitest'
import { check } from '../../src/commands/check.ts'
import type { Finding } from '../../src/commands/check/finding.ts'
import { explainProxies } from '../../src/commands/check/proxies.ts'
import { parseRegistryAddress } from '../../src/commands/trust/registry-key.ts'
import { ConfigError } from '../../src/errors.ts'
import { issueLeaf, issueRoot, type IssuedCertificate } from '../../src/tls/issue.ts'
import { openKeystore, renewRoot } from '../../src/tls/keystore.ts'
import { issueByIntermediate, selfSigned } from '../fixtures/openssl.ts'
import { registryProgram, startRegistry } from '../fixtures/registry.ts'
import { sidecarForTest } from '../fixtures/sidecar.ts'
import { tempFolder } from '../fixtures/temp-folder.ts'

const DAY_MS = 86_400_000
const LOCALHOST = [{ type: 'dns', value: 'localhost' }] as const
// Longer than what goes before it takes where the machine stands still for a while.
const SILENCE_MS = 4_000
const LONG_AGO = issueRoot({ now: new Date(Date.now() - 365 * DAY_MS) })

const asRegistry: RequestListener = (_request, response) => {
  response.writeHead(401, {
    'Docker-Distribution-Api-Version': 'registry/2.0',
    'WWW-Authenticate': 'Basic realm="Registry"',
  })
  response.end('{"errors":[]}')
}

interface Situation {
  readonly port: number
  readonly host?: string
  /** A state folder; none by default. */
  readonly stateDir?: string
  /** Roots that this machine has, in its pool or in a certs.d folder of a person. */
  readonly systemPem?: string
  readonly certsPem?: string
  readonly timeoutMs?: number
}

interface Outcome {
  readonly code: number
  readonly findings: readonly Finding[]
  /** `level part: text → mend`, one line each. */
  readonly text: string
}

async function checkAt({ port, host = `localhost:${port}`, ...situation }: Situation): Promise<Outcome> {
  const { stateDir, systemPem = '', certsPem, timeoutMs = 30_000 } = situation
  const folder = tempFolder()
  const [home, etc] = [path.join(folder, 'home'), path.join(folder, 'etc')]
  put(path.join(etc, 'ssl/certs/ca-certificates.crt'), systemPem)
  if (certsPem !== undefined) put(path.join(home, '.config/docker/certs.d', host, 'ca.crt'), certsPem)
  const stdout = new PassThrough()
  const streams = { stdin: new PassThrough(), stdout, stderr: new PassThrough() }
  const code = await check(
    {
      sources: { env: { SIDECAR_STATE_DIR: stateDir ?? path.join(folder, 'none') } },
      json: true,
      host,
      timeoutMs,
      machine: { platform: 'linux', hostname: 'workshop', isRoot: false, home, etc },
    },
    { env: {}, ...streams, onSignal: () => () => undefined },
  )
  const { ok, findings } = JSON.parse((stdout.read() as Buffer).toString()) as {
    ok: boolean
    findings: readonly Finding[]
  }
  expect(ok).toBe(code === 0)
  const lines = findings.map(({ level, part, text, mend = '' }) => `${level} ${part}: ${text} → ${mend}`)
  return { code, findings, text: lines.join('\n') }
}

function put(file: string, text: string): void {
  mkdirSync(path.dirname(file), { recursive: true })
  writeFileSync(file, text)
}

async function serve(server: Server): Promise<number> {
  server.on('tlsClientError', () => undefined)
  server.on('connection', (socket) => {
    socket.on('error', () => undefined)
    onTestFinished(() => {
      socket.destroy()
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.close()
  })
  return (server.address() as AddressInfo).port
}

function serveTls(
  { certPem, keyPem }: IssuedCertificate,
  options: ServerOptions = {},
  listener = asRegistry,
): Promise<number> {
  return serve(createHttpsServer({ cert: certPem, key: keyPem, ...options }, listener))
}

/** A pair for localhost under this root, sent with it. */
function pairUnder(root: IssuedCertificate, now = new Date()): IssuedCertificate {
  const leaf = issueLeaf({ root, names: LOCALHOST, now })
  return { ...leaf, certPem: `${leaf.certPem}${root.certPem}` }
}

async function afterRenewals(count: number) {
  const options = { folder: path.join(tempFolder(), 'state'), names: LOCALHOST, now: new Date() }
  await openKeystore(options)
  for (let i = 0; i < count; i++) await renewRoot({ ...options, names: () => LOCALHOST })
  return openKeystore(options)
}

describe('check --host finds nothing wrong', () => {
  it('with a sidecar, on its own machine', async () => {
    const { port, folder } = await sidecarForTest()
    const { code, text } = await checkAt({ port, stateDir: path.join(folder, 'state') })
    expect(code).toBe(0)
    expect(text.split('\n')).toEqual([
      expect.stringMatching(/^ok address: localhost:\d+ is 127\.0\.0\.1:\d+, and something listens there/),
      expect.stringMatching(/^ok tls: TLSv1\.3 handshake done/),
      expect.stringMatching(
        /^ok certificate: for localhost, until \d{4}-\d\d-\d\d, SHA-256 ([0-9A-F]{2}:){31}/,
      ),
      expect.stringMatching(/^ok trust: issued under the root in .*root\.crt/),
      expect.stringMatching(
        /^note trust: no certs\.d folder .* → registry-sidecar trust --install --host localhost:/,
      ),
      expect.stringMatching(/^ok answer: GET \/v2\/ asks for a login: Basic realm="Registry"/),
    ])
  })

  it('with a sidecar, on a machine whose clients trust it', async () => {
    const { port, root } = await sidecarForTest()
    const { code, text } = await checkAt({ port, certsPem: root.pem })
    expect(code).toBe(0)
    expect(text).toMatch(/^ok trust: clients on this machine trust it by .*docker\/certs\.d\/localhost:/m)
    expect(text).toMatch(/^note trust: no sidecar's root to compare with here/m)
  })

  it('with a certificate that the pool of the system vouches for', async () => {
    const { rootPem, intermediatePem, pair } = issueByIntermediate()
    const chain = { ...pair, certPem: `${pair.certPem}${intermediatePem}` }
    const { code, text } = await checkAt({ port: await serveTls(chain), systemPem: rootPem })
    expect(code).toBe(0)
    expect(text).toMatch(/^ok trust: a root in .*ca-certificates\.crt vouches for it/m)
  })

  it('by address, for which no name is sent', async () => {
    const { port, folder } = await sidecarForTest()
    const stateDir = path.join(folder, 'state')
    const { code, text } = await checkAt({ port, host: `127.0.0.1:${port}`, stateDir })
    expect(code).toBe(0)
    expect(text).toMatch(/^note trust: dockerd verifies no certificate on the loopback/m)
  })
})

describe('check --host explains an address', () => {
  it('that no name server knows', async () => {
    const { code, text } = await checkAt({ port: 443, host: 'no-such-registry.invalid' })
    expect(code).toBe(1)
    expect(text).toMatch(
      /^problem address: (.* is no name that this machine knows → .*\/etc\/hosts|.*no name server)/,
    )
  })

  it('at which nothing listens', async () => {
    const server = createServer()
    const port = await serve(server)
    await new Promise((resolve) => server.close(resolve))
    const { code, text } = await checkAt({ port })
    expect(code).toBe(1)
    expect(text).toMatch(/problem address: nothing listens on 127\.0\.0\.1:\d+ → start the sidecar there/)
  })
})

describe('check --host explains what speaks no TLS', () => {
  it.skipIf(registryProgram === undefined)('a registry in plain HTTP', async () => {
    const registry = await startRegistry()
    onTestFinished(() => registry.stop())
    const { code, text } = await checkAt({ port: registry.port })
    expect(code).toBe(1)
    expect(text).toMatch(
      /problem tls: a registry answers there in plain HTTP, without TLS → .*open to everybody/,
    )
  })

  it.each<[what: string, server: () => Server, expected: RegExp, timeoutMs: number]>([
    [
      'another HTTP server',
      () => createHttpServer((_request, response) => response.writeHead(404).end()),
      /tls: an HTTP server without TLS answers there, with 404 → .*is the port right/,
      30_000,
    ],
    [
      'a banner, without the escape sequences in it',
      () => createServer((socket) => socket.write('SSH-2.0-Open\x1b[31mSSH\r\n')),
      /tls: something else than a registry listens there; it begins with "SSH-2\.0-Open \[31mSSH" →/,
      30_000,
    ],
    [
      'a door that closes',
      () => createServer((socket) => socket.end()),
      /tls: it ends the connection without a handshake/,
      30_000,
    ],
    ['silence', () => createServer(), /tls: it accepts the connection and then says nothing → /, SILENCE_MS],
  ])('%s', async (_what, server, expected, timeoutMs) => {
    const { code, text } = await checkAt({ port: await serve(server()), timeoutMs })
    expect(code).toBe(1)
    expect(text).toMatch(expected)
    // eslint-disable-next-line no-control-regex
    expect(text).not.toMatch(/[\x00-\x09\x0b-\x1f]/)
  })
})

describe('check --host explains a handshake that fails', () => {
  it('for want of TLS 1.2', async () => {
    const old: ServerOptions = { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' }
    const { text } = await checkAt({ port: await serveTls(pairUnder(LONG_AGO), old) })
    expect(text).toMatch(/problem tls: it speaks neither TLS 1\.2 nor 1\.3/)
  })

  it('for want of a common cipher', async () => {
    const options: ServerOptions = { maxVersion: 'TLSv1.2', ciphers: 'ECDHE-RSA-AES128-GCM-SHA256' }
    const { text } = await checkAt({ port: await serveTls(pairUnder(LONG_AGO), options) })
    expect(text).toMatch(/problem tls: it refuses the handshake: no cipher in common/)
  })

  it.each<[version: 'TLSv1.2' | 'TLSv1.3', expected: RegExp]>([
    ['TLSv1.3', /problem answer: it demands a client certificate, .* → .*client\.cert and client\.key/],
    ['TLSv1.2', /problem tls: .* or it demands a client certificate → .*client\.cert/],
  ])('because a client certificate is demanded in %s', async (maxVersion, expected) => {
    const options: ServerOptions = { requestCert: true, maxVersion, ca: LONG_AGO.certPem }
    const { code, text } = await checkAt({ port: await serveTls(pairUnder(LONG_AGO), options) })
    expect(code).toBe(1)
    expect(text).toMatch(expected)
  })
})

describe('check --host explains a certificate', () => {
  it('for another name, with the setting to add it to when it is ours', async () => {
    const stateDir = path.join(tempFolder(), 'state')
    const names = [{ type: 'dns', value: 'proxy' }] as const
    const { bundle } = await openKeystore({ folder: stateDir, names, now: new Date() })
    const port = await serveTls(bundle)
    const ours = await checkAt({ port, stateDir })
    expect(ours.code).toBe(1)
    expect(ours.text).toMatch(
      /problem certificate: it is for proxy, not for localhost → add localhost to SIDECAR_HOSTS/,
    )
    expect(ours.text).toMatch(/ok trust: issued under the root/)
    const theirs = await checkAt({ port })
    expect(theirs.text).toMatch(/not for localhost → have it issued with localhost/)
  })

  it.each<[what: string, days: number, expected: RegExp]>([
    ['that has expired', -100, /problem certificate: it expired on [\d-]+ → .*clock of this machine/],
    ['of the future', 10, /problem certificate: it is not valid before [\dT:.-]+Z → .*clock of this machine/],
  ])('%s, and keeps apart that its root is trusted', async (_what, days, expected) => {
    const pair = pairUnder(LONG_AGO, new Date(Date.now() + days * DAY_MS))
    const { code, text } = await checkAt({ port: await serveTls(pair), certsPem: LONG_AGO.certPem })
    expect(code).toBe(1)
    expect(text).toMatch(expected)
    expect(text).toMatch(/^ok trust: clients on this machine trust it/m)
  })

  it('under an expired one, of a root that nobody knows', async () => {
    const pair = pairUnder(LONG_AGO, new Date(Date.now() - 100 * DAY_MS))
    const { text } = await checkAt({ port: await serveTls(pair) })
    expect(text).toMatch(/problem certificate: it expired/)
    expect(text).toMatch(/problem trust: /)
  })

  it('of a sidecar that this machine does not trust, with the command', async () => {
    const { port, root } = await sidecarForTest()
    const { code, text } = await checkAt({ port })
    expect(code).toBe(1)
    expect(text).toContain(
      `problem trust: the root of this registry-sidecar, SHA-256 ${root.fingerprint}, is not trusted`,
    )
    expect(text).toMatch(
      /→ compare that .* curl -fsSk -o registry-ca\.crt .* && sudo install -D -m 644 registry-ca\.crt/,
    )
  })

  it('of a sidecar with a renewed root, without a fingerprint that nobody else has', async () => {
    const { bundle, root } = await afterRenewals(2)
    const { code, text } = await checkAt({ port: await serveTls(bundle) })
    expect(code).toBe(1)
    expect(text).toMatch(
      /problem trust: the root of this registry-sidecar, which followed an earlier one, is not trusted .* → curl -fsSk -o registry-ca\.crt .*\/-\/ca\.crt && openssl x509 .*; compare that with `registry-sidecar trust` .* sudo install -D -m 644 registry-ca\.crt/,
    )
    expect(text).not.toContain('incomplete')
    const trust = text.split('\n').filter((line) => line.includes(' trust: '))
    expect(trust.join()).not.toMatch(/([0-9A-F]{2}:){31}/)
    // Who trusts what the command fetches trusts what is served.
    const after = await checkAt({ port: await serveTls(bundle), certsPem: root.pem })
    expect(after.code).toBe(0)
  })

  it('under a renewed root, beside the state folder of another sidecar', async () => {
    const stateDir = path.join(tempFolder(), 'state')
    const { root } = await openKeystore({ folder: stateDir, names: LOCALHOST, now: new Date() })
    const { bundle } = await afterRenewals(1)
    const { text } = await checkAt({ port: await serveTls(bundle), stateDir })
    expect(text).toMatch(
      /problem trust: it was issued under another root of a registry-sidecar than lies in .*root\.crt \(/,
    )
    expect(text).toContain(`(${root.fingerprint})`)
  })

  it('under an earlier root of ours', async () => {
    const stateDir = path.join(tempFolder(), 'state')
    await openKeystore({ folder: stateDir, names: LOCALHOST, now: new Date() })
    const { code, text } = await checkAt({ port: await serveTls(pairUnder(LONG_AGO)), stateDir })
    expect(code).toBe(1)
    expect(text).toMatch(
      /problem trust: it was issued under another root of a registry-sidecar, SHA-256 .* → .*earlier/,
    )
  })

  it('that is good, but not that of the sidecar here', async () => {
    const stateDir = path.join(tempFolder(), 'state')
    await openKeystore({ folder: stateDir, names: LOCALHOST, now: new Date() })
    const port = await serveTls(pairUnder(LONG_AGO))
    const { code, text } = await checkAt({ port, stateDir, systemPem: LONG_AGO.certPem })
    expect(code).toBe(0)
    expect(text).toMatch(/note trust: it was not issued under the root in .*root\.crt/)
  })

  it('that signs itself', async () => {
    const pair = selfSigned('localhost')
    const port = await serveTls(pair)
    expect((await checkAt({ port })).text).toMatch(
      /problem trust: it signs itself and is not known here \(SHA-256/,
    )
    expect((await checkAt({ port, certsPem: pair.certPem })).code).toBe(0)
  })

  it('whose intermediate is not sent', async () => {
    const { rootPem, pair } = issueByIntermediate()
    const { code, text } = await checkAt({ port: await serveTls(pair), systemPem: rootPem })
    expect(code).toBe(1)
    expect(text).toMatch(
      /problem trust: its chain ends at CN=leaf, which CN=intermediate issued.* → the chain is incomplete/,
    )
  })

  it('beside a certs.d folder with another root', async () => {
    const { port, folder } = await sidecarForTest()
    const stateDir = path.join(folder, 'state')
    const { code, text } = await checkAt({ port, stateDir, certsPem: LONG_AGO.certPem })
    expect(code).toBe(0)
    expect(text).toMatch(
      /note trust: .*certs\.d\/localhost:\d+ has other roots.* → registry-sidecar trust --install/,
    )
  })
})

describe('check --host explains an answer', () => {
  const V2 = { 'Docker-Distribution-Api-Version': 'registry/2.0' }
  it.each<
    [
      what: string,
      status: number,
      headers: Record<string, string>,
      body: string,
      expected: RegExp,
      code: number,
    ]
  >([
    ['of an open registry', 200, V2, '{}', /note answer: .*everybody gets in without a login → /, 0],
    [
      'of a web site',
      200,
      {},
      '<html>',
      /problem answer: .*200, but not as a registry does → .*port right/,
      1,
    ],
    ['of another service', 404, {}, 'no', /problem answer: GET \/v2\/ answers 404: no registry does → /, 1],
    [
      'that sends elsewhere',
      302,
      { Location: 'https://sso/\x9b2J' },
      '',
      /302 and sends clients to https:\/\/sso\//,
      1,
    ],
    [
      'without a challenge',
      401,
      V2,
      '',
      /problem answer: .*401 without saying how to log in → .*WWW-Authenticate/,
      1,
    ],
    [
      'with an unknown challenge',
      401,
      { ...V2, 'WWW-Authenticate': 'Negotiate' },
      '',
      /problem answer: .*Negotiate → /,
      1,
    ],
    [
      'of a token service',
      401,
      { ...V2, 'WWW-Authenticate': 'Bearer realm="https://auth/token"' },
      '',
      /ok answer: .*Bearer/,
      0,
    ],
    [
      'of some login',
      401,
      { 'WWW-Authenticate': 'Basic realm="x"' },
      '',
      /note answer: .*may be another service/,
      0,
    ],
    [
      'in want of a certificate',
      400,
      {},
      '400 No required SSL certificate was sent',
      /it demands a client certificate/,
      1,
    ],
    [
      'that is a refusal',
      403,
      V2,
      '{"errors":[{"message":"show a certificate"}]}',
      /403: show a certificate → /,
      1,
    ],
    [
      'of a sidecar without its registry',
      502,
      V2,
      '{"errors":[{"message":"unreachable"}]}',
      /502: unreachable → .*check/,
      1,
    ],
    ['to too many', 429, V2, '', /note answer: GET \/v2\/ answers 429 → /, 0],
  ])('%s', async (_what, status, headers, body, expected, code) => {
    // Written as bytes: Node itself would refuse to send what a hostile server sends.
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
    const answer = `HTTP/1.1 ${status} X\r\n${lines.join('')}Content-Length: ${body.length}\r\n\r\n${body}`
    const port = await serveTls(pairUnder(LONG_AGO), {}, (_request, response) => response.socket?.end(answer))
    const outcome = await checkAt({ port, systemPem: LONG_AGO.certPem })
    expect(outcome.text).toMatch(expected)
    expect(outcome.code).toBe(code)
  })

  it('that never comes', async () => {
    const port = await serveTls(pairUnder(LONG_AGO), {}, () => undefined)
    expect((await checkAt({ port, timeoutMs: SILENCE_MS })).text).toMatch(
      /problem answer: the handshake is done, but GET/,
    )
  })

  it('that is no HTTP', async () => {
    const port = await serveTls(pairUnder(LONG_AGO), {}, (_request, response) =>
      response.socket?.end('220 mail\r\n'),
    )
    expect((await checkAt({ port })).text).toMatch(/problem answer: it answers in TLS, but not in HTTP/)
  })

  it('of a sidecar that has no users yet', async () => {
    const { port, folder } = await sidecarForTest({ users: null })
    const { text } = await checkAt({ port, stateDir: path.join(folder, 'state') })
    expect(text).toMatch(/problem answer: GET \/v2\/ answers 503: no users are configured → /)
  })
})

describe('check --host', () => {
  it('asks once, as a client does, without credentials', async () => {
    const asked: unknown[] = []
    const port = await serveTls(pairUnder(LONG_AGO), {}, (request, response) => {
      const { host, authorization, cookie } = request.headers
      asked.push({ line: `${request.method ?? ''} ${request.url ?? ''}`, host, authorization, cookie })
      asRegistry(request, response)
    })
    await checkAt({ port, host: `LocalHost:${port}`, certsPem: LONG_AGO.certPem })
    expect(asked).toEqual([{ line: 'GET /v2/', host: `LocalHost:${port}` }])
  })

  it.each(['https://proxy', 'a b', '*.example.com', 'proxy:0', ''])(
    'refuses "%s" as wrong usage',
    async (host) => {
      await expect(checkAt({ port: 1, host })).rejects.toThrow(ConfigError)
    },
  )
})

describe('a proxy in the environment', () => {
  const env = { HTTPS_PROXY: 'http://user:secret@proxy.example:3128' }
  it.each<[noProxy: string, host: string, isTold: boolean]>([
    ['', 'registry:8443', true],
    ['', 'localhost:8443', false],
    ['', '127.0.0.2:8443', false],
    ['*', 'registry', false],
    ['other, registry', 'registry:8443', false],
    ['registry:8443', 'registry:8443', false],
    ['registry:443', 'registry:8443', true],
    ['example.com', 'a.example.com', false],
    ['.example.com', 'example.com', true],
    ['.example.com', 'a.example.com', false],
    ['ample.com', 'example.com', true],
    ['10.0.0.0/8', '10.1.2.3', false],
    ['10.0.0.0/8', '11.1.2.3', true],
    ['2001:db8::/32', '[2001:db8::1]', false],
    ['10.1.2.3', '10.1.2.3', false],
  ])('with NO_PROXY=%s is told for %s: %s', (noProxy, host, isTold) => {
    const findings = explainProxies(parseRegistryAddress(host), { ...env, NO_PROXY: noProxy })
    expect(findings.length > 0).toBe(isTold)
    expect(JSON.stringify(findings)).not.toContain('secret')
  })
})
