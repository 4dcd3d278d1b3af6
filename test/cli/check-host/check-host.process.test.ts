import { mkdirSync, writeFileSync } from 'node:fs'
import { createServer as createHttpServer, type RequestListener } from 'node:http'
import { createServer as createHttpsServer, type ServerOptions } from 'node:https'
import { createServer, type AddressInfo, type Server } from 'node:net'
import path from 'node:path'
import { PassThrough } from 'node:stream'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { check } from '../../../src/cli/check/check.ts'
import type { Finding } from '../../../src/cli/check/finding.ts'
import { explainProxies } from '../../../src/cli/check-host/proxies.ts'
import { parseRegistryAddress } from '../../../src/cli/trust/registry-key.ts'
import { ConfigError } from '../../../src/errors/errors.ts'
import { issueLeaf, issueRoot, type IssuedCertificate } from '../../../src/pki/issue.ts'
import { openKeystore, renewRoot } from '../../../src/certificates/state-folder/keystore.ts'
import { issueByIntermediate, selfSigned } from '../../fixtures/openssl.ts'
import { registryProgram, startRegistry } from '../../fixtures/registry.ts'
import { sidecarForTest, startSidecar, type TestSidecar } from '../../fixtures/sidecar.ts'
import { tempFolder } from '../../fixtures/temp-folder.ts'

const DAY_MS = 86_400_000
const LOCALHOST = [{ type: 'dns', value: 'localhost' }] as const
// Long enough for the earlier steps of a check on a busy machine.
const SHORT_TIMEOUT_MS = 2_500
const OLD_ROOT = issueRoot({ now: new Date(Date.now() - 365 * DAY_MS) })

const answerLikeRegistry: RequestListener = (_request, response) => {
  response.writeHead(401, {
    'Docker-Distribution-Api-Version': 'registry/2.0',
    'WWW-Authenticate': 'Basic realm="Registry"',
  })
  response.end('{"errors":[]}')
}

// For all tests that need no other settings.
let sidecar: TestSidecar

beforeAll(async () => {
  sidecar = await startSidecar()
})

afterAll(() => sidecar.stop())

interface Scene {
  readonly port: number
  readonly host?: string
  /** Absent: a folder that does not exist. */
  readonly stateDir?: string
  /** Roots that this machine trusts: its system roots, and a certs.d folder of the user. */
  readonly systemPem?: string
  readonly certsPem?: string
  readonly timeoutMs?: number
}

interface Outcome {
  readonly code: number
  readonly findings: readonly Finding[]
  /** `level part: text → hint`, one line each. */
  readonly text: string
}

// Concurrent tests pass the `onTestFinished` of their own context.
async function checkAt(
  { port, host = `localhost:${port}`, ...scene }: Scene,
  onFinished = onTestFinished,
): Promise<Outcome> {
  const { stateDir, systemPem = '', certsPem, timeoutMs = 30_000 } = scene
  const folder = tempFolder(onFinished)
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
  const lines = findings.map(({ level, part, text, hint = '' }) => `${level} ${part}: ${text} → ${hint}`)
  return { code, findings, text: lines.join('\n') }
}

function put(file: string, text: string): void {
  mkdirSync(path.dirname(file), { recursive: true })
  writeFileSync(file, text)
}

async function serve(server: Server, onFinished = onTestFinished): Promise<number> {
  server.on('tlsClientError', () => undefined)
  server.on('connection', (socket) => {
    socket.on('error', () => undefined)
    onFinished(() => {
      socket.destroy()
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onFinished(() => {
    server.close()
  })
  return (server.address() as AddressInfo).port
}

function serveTls(
  { certPem, keyPem }: IssuedCertificate,
  options: ServerOptions = {},
  listener = answerLikeRegistry,
): Promise<number> {
  return serve(createHttpsServer({ cert: certPem, key: keyPem, ...options }, listener))
}

/** A certificate for localhost with its root appended. */
function issueUnder(root: IssuedCertificate, now = new Date()): IssuedCertificate {
  const leaf = issueLeaf({ root, names: LOCALHOST, now })
  return { ...leaf, certPem: `${leaf.certPem}${root.certPem}` }
}

async function openRenewedKeystore(count: number) {
  const options = { folder: path.join(tempFolder(), 'state'), names: LOCALHOST, now: new Date() }
  await openKeystore(options)
  for (let i = 0; i < count; i++) await renewRoot({ ...options, names: () => LOCALHOST })
  return openKeystore(options)
}

describe('check --host finds no problem', () => {
  it('for a sidecar, on its own machine', async () => {
    const { port, folder } = sidecar
    const { code, text } = await checkAt({ port, stateDir: path.join(folder, 'state') })
    expect(code, text).toBe(0)
    expect(text.split('\n')).toEqual([
      expect.stringMatching(/^ok address: localhost:\d+ is 127\.0\.0\.1:\d+, which accepts connections/),
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

  it('for a sidecar, on a machine whose clients trust it', async () => {
    const { port, root } = sidecar
    const { code, text } = await checkAt({ port, certsPem: root.pem })
    expect(code, text).toBe(0)
    expect(text).toMatch(
      /^ok trust: clients on this machine trust the certificate because of .*docker\/certs\.d\/localhost:/m,
    )
    expect(text).toMatch(/^note trust: no root of a sidecar was found on this machine/m)
  })

  it('for a certificate under a system root', async () => {
    const { rootPem, intermediatePem, pair } = issueByIntermediate()
    const chain = { ...pair, certPem: `${pair.certPem}${intermediatePem}` }
    const { code, text } = await checkAt({ port: await serveTls(chain), systemPem: rootPem })
    expect(code, text).toBe(0)
    expect(text).toMatch(
      /^ok trust: the chain ends at a root in .*ca-certificates\.crt: clients need nothing else/m,
    )
  })

  it('for an IP address, without a server name', async () => {
    const { port, folder } = sidecar
    const stateDir = path.join(folder, 'state')
    const { code, text } = await checkAt({ port, host: `127.0.0.1:${port}`, stateDir })
    expect(code, text).toBe(0)
    expect(text).toMatch(/^note trust: dockerd does not verify certificates on loopback/m)
  })
})

describe('check --host explains an unreachable address', () => {
  it('because the name is unknown', async () => {
    const { code, text } = await checkAt({ port: 443, host: 'no-such-registry.invalid' })
    expect(code, text).toBe(1)
    expect(text).toMatch(
      /^problem address: (this machine cannot resolve .* → .*\/etc\/hosts|.*no name server)/,
    )
  })

  it('because nothing listens on the port', async () => {
    const server = createServer()
    const port = await serve(server)
    await new Promise((resolve) => server.close(resolve))
    const { code, text } = await checkAt({ port })
    expect(code, text).toBe(1)
    expect(text).toMatch(/problem address: nothing listens on 127\.0\.0\.1:\d+ → start the sidecar there/)
  })
})

describe('check --host explains a server without TLS', () => {
  it.skipIf(registryProgram === undefined)('that is a registry in plain HTTP', async () => {
    const registry = await startRegistry()
    onTestFinished(() => registry.stop())
    const { code, text } = await checkAt({ port: registry.port })
    expect(code, text).toBe(1)
    expect(text).toMatch(
      /problem tls: a registry answers there in plain HTTP, without TLS → .*anyone can use the registry/,
    )
  })

  it.each<[title: string, server: () => Server, expected: RegExp]>([
    [
      'that is another HTTP server',
      () => createHttpServer((_request, response) => response.writeHead(404).end()),
      /tls: an HTTP server without TLS answers there, with 404 → .*check the port/,
    ],
    [
      'that sends a banner, without its escape sequences',
      () => createServer((socket) => socket.write('SSH-2.0-Open\x1b[31mSSH\r\n')),
      /tls: the server is not a registry; it sends "SSH-2\.0-Open \[31mSSH" →/,
    ],
    [
      'that closes the connection',
      () => createServer((socket) => socket.end()),
      /tls: the server closes the connection without a handshake/,
    ],
  ])('%s', async (_title, server, expected) => {
    const { code, text } = await checkAt({ port: await serve(server()) })
    expect(code, text).toBe(1)
    expect(text).toMatch(expected)
    // eslint-disable-next-line no-control-regex
    expect(text).not.toMatch(/[\x00-\x09\x0b-\x1f]/)
  })
})

describe.concurrent('check --host waits for its timeout', () => {
  it('and explains a server that stays silent', async ({ onTestFinished: onFinished }) => {
    const port = await serve(createServer(), onFinished)
    const { code, text } = await checkAt({ port, timeoutMs: SHORT_TIMEOUT_MS }, onFinished)
    expect(code, text).toBe(1)
    expect(text).toMatch(/tls: the server accepts the connection but sends nothing → /)
    // eslint-disable-next-line no-control-regex
    expect(text).not.toMatch(/[\x00-\x09\x0b-\x1f]/)
  })

  it('and explains an answer that never arrives', async ({ onTestFinished: onFinished }) => {
    const { certPem: cert, keyPem: key } = issueUnder(OLD_ROOT)
    const port = await serve(
      createHttpsServer({ cert, key }, () => undefined),
      onFinished,
    )
    const { text } = await checkAt({ port, timeoutMs: SHORT_TIMEOUT_MS }, onFinished)
    expect(text).toMatch(/problem answer: the handshake succeeded, but GET/)
  })
})

describe('check --host explains a failed handshake', () => {
  it('because the server supports TLS 1.1 at most', async () => {
    const old: ServerOptions = { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' }
    const { text } = await checkAt({ port: await serveTls(issueUnder(OLD_ROOT), old) })
    expect(text).toMatch(/problem tls: the server supports neither TLS 1\.2 nor 1\.3/)
  })

  it('because no cipher is in common', async () => {
    const options: ServerOptions = { maxVersion: 'TLSv1.2', ciphers: 'ECDHE-RSA-AES128-GCM-SHA256' }
    const { text } = await checkAt({ port: await serveTls(issueUnder(OLD_ROOT), options) })
    expect(text).toMatch(/problem tls: the server refuses the handshake: it has no cipher in common/)
  })

  it.each<[version: 'TLSv1.2' | 'TLSv1.3', expected: RegExp]>([
    [
      'TLSv1.3',
      /problem answer: the server demands a client certificate, .* → .*client\.cert and client\.key/,
    ],
    ['TLSv1.2', /problem tls: .* or it demands a client certificate → .*client\.cert/],
  ])('because the server demands a client certificate in %s', async (maxVersion, expected) => {
    const options: ServerOptions = { requestCert: true, maxVersion, ca: OLD_ROOT.certPem }
    const { code, text } = await checkAt({ port: await serveTls(issueUnder(OLD_ROOT), options) })
    expect(code, text).toBe(1)
    expect(text).toMatch(expected)
  })
})

describe('check --host explains a certificate', () => {
  it('for another name, with the setting to change under the local root', async () => {
    const stateDir = path.join(tempFolder(), 'state')
    const names = [{ type: 'dns', value: 'proxy' }] as const
    const { bundle } = await openKeystore({ folder: stateDir, names, now: new Date() })
    const port = await serveTls(bundle)
    const local = await checkAt({ port, stateDir })
    expect(local.code).toBe(1)
    expect(local.text).toMatch(
      /problem certificate: the certificate is for proxy, not for localhost → add localhost to SIDECAR_HOSTS/,
    )
    expect(local.text).toMatch(/ok trust: issued under the root/)
    const foreign = await checkAt({ port })
    expect(foreign.text).toMatch(/not for localhost → request a certificate that has localhost/)
  })

  it.each<[title: string, days: number, expected: RegExp]>([
    [
      'that has expired',
      -100,
      /problem certificate: the certificate expired on [\d-]+ → .*clock of this machine/,
    ],
    [
      'that is not valid yet',
      10,
      /problem certificate: the certificate is not valid before [\dT:.-]+Z → .*clock of this machine/,
    ],
  ])('%s, apart from the trust in its root', async (_title, days, expected) => {
    const pair = issueUnder(OLD_ROOT, new Date(Date.now() + days * DAY_MS))
    const { code, text } = await checkAt({ port: await serveTls(pair), certsPem: OLD_ROOT.certPem })
    expect(code, text).toBe(1)
    expect(text).toMatch(expected)
    expect(text).toMatch(/^ok trust: clients on this machine trust the certificate/m)
  })

  it('that has expired under an unknown root', async () => {
    const pair = issueUnder(OLD_ROOT, new Date(Date.now() - 100 * DAY_MS))
    const { text } = await checkAt({ port: await serveTls(pair) })
    expect(text).toMatch(/problem certificate: the certificate expired/)
    expect(text).toMatch(/problem trust: /)
  })

  it('of an untrusted sidecar, with the commands to trust it', async () => {
    const { port, root } = sidecar
    const { code, text } = await checkAt({ port })
    expect(code, text).toBe(1)
    expect(text).toContain(
      `problem trust: the root of this registry-sidecar, SHA-256 ${root.fingerprint}, is not trusted`,
    )
    expect(text).toMatch(
      /→ compare the SHA-256 with .* curl -fsSk -o registry-ca\.crt .* && sudo install -D -m 644 registry-ca\.crt/,
    )
  })

  it('of a sidecar with a renewed root, without the fingerprint of the cross certificate', async () => {
    const { bundle, root } = await openRenewedKeystore(2)
    const { code, text } = await checkAt({ port: await serveTls(bundle) })
    expect(code, text).toBe(1)
    expect(text).toMatch(
      /problem trust: the renewed root of this registry-sidecar is not trusted .* → curl -fsSk -o registry-ca\.crt .*\/-\/ca\.crt && openssl x509 .*; compare the SHA-256 with `registry-sidecar trust` .* sudo install -D -m 644 registry-ca\.crt/,
    )
    expect(text).not.toContain('incomplete')
    const trust = text.split('\n').filter((line) => line.includes(' trust: '))
    expect(trust.join()).not.toMatch(/([0-9A-F]{2}:){31}/)
    // The root that the command fetches verifies the served chain.
    const after = await checkAt({ port: await serveTls(bundle), certsPem: root.pem })
    expect(after.code).toBe(0)
  })

  it('under the renewed root of another sidecar', async () => {
    const stateDir = path.join(tempFolder(), 'state')
    const { root } = await openKeystore({ folder: stateDir, names: LOCALHOST, now: new Date() })
    const { bundle } = await openRenewedKeystore(1)
    const { text } = await checkAt({ port: await serveTls(bundle), stateDir })
    expect(text).toMatch(
      /problem trust: the certificate was issued under another root of a registry-sidecar than the root in .*root\.crt \(/,
    )
    expect(text).toContain(`(${root.fingerprint})`)
  })

  it('under an earlier root of this sidecar', async () => {
    const stateDir = path.join(tempFolder(), 'state')
    await openKeystore({ folder: stateDir, names: LOCALHOST, now: new Date() })
    const { code, text } = await checkAt({ port: await serveTls(issueUnder(OLD_ROOT)), stateDir })
    expect(code, text).toBe(1)
    expect(text).toMatch(
      /problem trust: the certificate was issued under another root of a registry-sidecar, SHA-256 .* → .*earlier/,
    )
  })

  it('that is trusted, but not issued under the local root', async () => {
    const stateDir = path.join(tempFolder(), 'state')
    await openKeystore({ folder: stateDir, names: LOCALHOST, now: new Date() })
    const port = await serveTls(issueUnder(OLD_ROOT))
    const { code, text } = await checkAt({ port, stateDir, systemPem: OLD_ROOT.certPem })
    expect(code, text).toBe(0)
    expect(text).toMatch(/note trust: the certificate was not issued under the root in .*root\.crt/)
  })

  it('that is self-signed', async () => {
    const pair = selfSigned('localhost')
    const port = await serveTls(pair)
    expect((await checkAt({ port })).text).toMatch(
      /problem trust: the self-signed certificate is not trusted on this machine \(SHA-256/,
    )
    expect((await checkAt({ port, certsPem: pair.certPem })).code).toBe(0)
  })

  it('without its intermediate', async () => {
    const { rootPem, pair } = issueByIntermediate()
    const { code, text } = await checkAt({ port: await serveTls(pair), systemPem: rootPem })
    expect(code, text).toBe(1)
    expect(text).toMatch(
      /problem trust: the chain ends at CN=leaf, whose issuer CN=intermediate is not trusted on this machine → .*the chain is incomplete/,
    )
  })

  it('on a machine whose certs.d folder has another root', async () => {
    const { port, folder } = sidecar
    const stateDir = path.join(folder, 'state')
    const { code, text } = await checkAt({ port, stateDir, certsPem: OLD_ROOT.certPem })
    expect(code, text).toBe(0)
    expect(text).toMatch(
      /note trust: other roots are in .*certs\.d\/localhost:\d+: .* → registry-sidecar trust --install/,
    )
  })
})

describe('check --host explains an answer', () => {
  const V2 = { 'Docker-Distribution-Api-Version': 'registry/2.0' }
  it.each<
    [
      title: string,
      status: number,
      headers: Record<string, string>,
      body: string,
      expected: RegExp,
      code: number,
    ]
  >([
    [
      'of a registry without a login',
      200,
      V2,
      '{}',
      /note answer: .*anyone has access without a login → /,
      0,
    ],
    [
      'of a web site',
      200,
      {},
      '<html>',
      /problem answer: .*200 without the header Docker-Distribution-Api-Version of a registry → .*check the port/,
      1,
    ],
    [
      'of another service',
      404,
      {},
      'no',
      /problem answer: GET \/v2\/ answers 404, a status that no registry sends → /,
      1,
    ],
    [
      'that redirects',
      302,
      { Location: 'https://sso/\x9b2J' },
      '',
      /302 and redirects clients to https:\/\/sso\//,
      1,
    ],
    [
      'that redirects to no address',
      302,
      {},
      '',
      /GET \/v2\/ answers 302, a redirect without the header Location → /,
      1,
    ],
    [
      'without a challenge',
      401,
      V2,
      '',
      /problem answer: .*401 without the header WWW-Authenticate → .*configure the proxy/,
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
      'of a login without the registry header',
      401,
      { 'WWW-Authenticate': 'Basic realm="x"' },
      '',
      /note answer: .*may be another service/,
      0,
    ],
    [
      'that demands a client certificate',
      400,
      {},
      '400 No required SSL certificate was sent',
      /the server demands a client certificate/,
      1,
    ],
    [
      'that is a refusal',
      403,
      V2,
      '{"errors":[{"message":"show a certificate"}]}',
      /403: show a certificate → follow the message of the server/,
      1,
    ],
    [
      'that is a refusal without a message',
      403,
      V2,
      '',
      /answers 403 → the server forbids access: see its log/,
      1,
    ],
    [
      'of a sidecar whose registry is down',
      502,
      V2,
      '{"errors":[{"message":"unreachable"}]}',
      /502: unreachable → .*check/,
      1,
    ],
    ['that throttles logins', 429, V2, '', /note answer: GET \/v2\/ answers 429 → /, 0],
  ])('%s', async (_title, status, headers, body, expected, code) => {
    // Written as bytes because Node refuses to send such headers.
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
    const answer = `HTTP/1.1 ${status} X\r\n${lines.join('')}Content-Length: ${body.length}\r\n\r\n${body}`
    const port = await serveTls(issueUnder(OLD_ROOT), {}, (_request, response) =>
      response.socket?.end(answer),
    )
    const outcome = await checkAt({ port, systemPem: OLD_ROOT.certPem })
    expect(outcome.text).toMatch(expected)
    expect(outcome.code).toBe(code)
  })

  it('that is not HTTP', async () => {
    const port = await serveTls(issueUnder(OLD_ROOT), {}, (_request, response) =>
      response.socket?.end('220 mail\r\n'),
    )
    expect((await checkAt({ port })).text).toMatch(/problem answer: the server speaks TLS but not HTTP/)
  })

  it('of a sidecar without users', async () => {
    const { port, folder } = await sidecarForTest({ users: null })
    const { text } = await checkAt({ port, stateDir: path.join(folder, 'state') })
    expect(text).toMatch(/problem answer: GET \/v2\/ answers 503: no users are configured → /)
  })
})

describe('check --host', () => {
  it('sends one request, without credentials', async () => {
    const requests: unknown[] = []
    const port = await serveTls(issueUnder(OLD_ROOT), {}, (request, response) => {
      const { host, authorization, cookie } = request.headers
      requests.push({ line: `${request.method ?? ''} ${request.url ?? ''}`, host, authorization, cookie })
      answerLikeRegistry(request, response)
    })
    await checkAt({ port, host: `LocalHost:${port}`, certsPem: OLD_ROOT.certPem })
    expect(requests).toEqual([{ line: 'GET /v2/', host: `LocalHost:${port}` }])
  })

  it.each(['https://proxy', 'a b', '*.example.com', 'proxy:0', ''])('rejects the host "%s"', async (host) => {
    await expect(checkAt({ port: 1, host })).rejects.toThrow(ConfigError)
  })
})

describe('a proxy in the environment', () => {
  const env = { HTTPS_PROXY: 'http://user:secret@proxy.example:3128' }
  it.each<[noProxy: string, host: string, isReported: boolean]>([
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
  ])('with NO_PROXY=%s is reported for %s: %s', (noProxy, host, isReported) => {
    const findings = explainProxies(parseRegistryAddress(host), { ...env, NO_PROXY: noProxy })
    expect(findings.length > 0).toBe(isReported)
    expect(JSON.stringify(findings)).not.toContain('secret')
  })
})
