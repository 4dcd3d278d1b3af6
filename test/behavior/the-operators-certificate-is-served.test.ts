import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import https from 'node:https'
import type { IncomingMessage } from 'node:http'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import {
  connectSteadily,
  createAuthority,
  fingerprintOf,
  fingerprintServed,
  moveInto,
} from '../fixtures/own-certificate.ts'
import { runHere } from '../fixtures/command.ts'
import { portOf, run, start } from '../fixtures/process.ts'
import { answering, OK, upstreamForTest } from '../fixtures/programmable-upstream.ts'
import { askAdmin } from '../fixtures/scrape.ts'
import { ALICE, sidecarForTest, type TestSidecar } from '../fixtures/sidecar.ts'
import { tempFolder } from '../fixtures/temp-folder.ts'
import { until } from '../fixtures/until.ts'

const DAY_MS = 86_400_000
const authority = createAuthority()

interface OwnFolder {
  readonly certFile: string
  readonly keyFile: string
  readonly env: Readonly<Record<string, string>>
}

function ownFolder(pair = authority.issue(), chain = ''): OwnFolder {
  const folder = tempFolder()
  const [certFile, keyFile] = [path.join(folder, 'tls.crt'), path.join(folder, 'tls.key')]
  writeFileSync(certFile, pair.certPem + chain)
  writeFileSync(keyFile, pair.keyPem)
  return { certFile, keyFile, env: { SIDECAR_TLS_CERT: certFile, SIDECAR_TLS_KEY: keyFile } }
}

const partOf = async (sidecar: TestSidecar) => (await sidecar.readiness()).parts.certificate

describe('the operator’s certificate', () => {
  it('is served, and nothing is issued', async () => {
    const pair = authority.issue()
    const sidecar = await sidecarForTest({ env: ownFolder(pair).env, rootPem: authority.rootPem })
    expect(await fingerprintServed(sidecar.port, authority.rootPem)).toBe(fingerprintOf(pair))
    expect(readdirSync(path.join(sidecar.folder, 'state'))).toEqual(['status.key', 'token.key'])
    expect(await partOf(sidecar)).toEqual({
      ready: true,
      state: 'ok',
      reason: '89 days left; provided by the operator',
    })
  })

  it('has no root to fetch: 404 in the registry’s form', async () => {
    const sidecar = await sidecarForTest({ env: ownFolder().env, rootPem: authority.rootPem })
    const { status, body } = await sidecar.request({ path: '/-/ca.crt' })
    expect(status).toBe(404)
    expect(JSON.parse(body.toString())).toMatchObject({
      errors: [{ code: 'UNSUPPORTED', message: expect.stringContaining('issued elsewhere') as string }],
    })
  })

  it('offers its root when the file ends with one', async () => {
    const { env } = ownFolder(authority.issue(), authority.rootPem)
    const sidecar = await sidecarForTest({ env, rootPem: authority.rootPem })
    const { status, body } = await sidecar.request({ path: '/-/ca.crt' })
    expect([status, body.toString()]).toEqual([200, authority.rootPem])
  })

  it('is replaced for new connections while a transfer continues', async () => {
    const { certFile, keyFile, env } = ownFolder()
    const release = new AbortController()
    const upstream = await upstreamForTest((_, socket) => {
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello')
      release.signal.addEventListener('abort', () => socket.end('world'))
    })
    const sidecar = await sidecarForTest({ env, rootPem: authority.rootPem, upstreamPort: upstream.port })
    const client = connectSteadily(sidecar.port, authority.rootPem)
    const pull = https.get({
      host: '127.0.0.1',
      port: sidecar.port,
      ca: authority.rootPem,
      auth: ALICE,
      agent: false,
      path: '/v2/app/blobs/x',
    })
    const [response] = (await once(pull, 'response')) as [IncomingMessage]
    await until(() => client.served.length > 0, { deadlineMs: 3_000, what: 'the first is served' })

    const next = authority.issue()
    moveInto(keyFile, next.keyPem)
    moveInto(certFile, next.certPem)
    await until(() => client.served.at(-1) === fingerprintOf(next), {
      deadlineMs: 3_000,
      what: 'the next is served',
    })
    release.abort()
    let body = ''
    for await (const chunk of response) body += String(chunk)
    await client.stop()

    expect(body).toBe('helloworld')
    expect(client.failures).toEqual([])
    expect(client.served).toHaveLength(2)
  })

  it('stays in use if its replacement is invalid: /readyz says stale with 200', async () => {
    const { certFile, env } = ownFolder()
    const upstream = await upstreamForTest(answering(OK))
    const sidecar = await sidecarForTest({ env, rootPem: authority.rootPem, upstreamPort: upstream.port })
    const before = await fingerprintServed(sidecar.port, authority.rootPem)
    moveInto(certFile, 'nonsense')
    await until(async () => (await partOf(sidecar)).state === 'stale', { deadlineMs: 3_000, what: 'stale' })
    const { status, text } = await askAdmin(sidecar, '/readyz')
    const { parts } = JSON.parse(text) as { parts: Record<string, unknown> }
    expect(status).toBe(200)
    expect(parts['certificate']).toMatchObject({
      ready: true,
      state: 'stale',
      reason: expect.stringMatching(
        /^89 days left; provided by the operator; SIDECAR_TLS_CERT: holds no readable/,
      ) as string,
    })
    expect(await fingerprintServed(sidecar.port, authority.rootPem)).toBe(before)
    expect(sidecar.lines.filter(({ level }) => level === 50)).toMatchObject([{ file: certFile }])
    await expect(sidecar.reload()).rejects.toThrow(/holds no readable certificate/)
  })

  it('is in use when a requested reload has finished', async () => {
    const { certFile, keyFile, env } = ownFolder()
    const sidecar = await sidecarForTest({ env, rootPem: authority.rootPem })
    const next = authority.issue()
    writeFileSync(keyFile, next.keyPem)
    writeFileSync(certFile, next.certPem)
    await sidecar.reload()
    expect(await fingerprintServed(sidecar.port, authority.rootPem)).toBe(fingerprintOf(next))
  })

  it('is read again at SIGHUP, and an invalid one is logged and ends nothing', async () => {
    const { certFile, keyFile, env } = ownFolder()
    // Without polls and file events: chokidar polls once an hour instead.
    const blind = { SIDECAR_WATCH_POLL: 'off', CHOKIDAR_USEPOLLING: '1', CHOKIDAR_INTERVAL: '3600000' }
    const settings = { SIDECAR_LISTEN: '127.0.0.1:0', SIDECAR_ADMIN_LISTEN: 'off', ...blind }
    const running = start([], { cwd: tempFolder(), env: { ...settings, ...env } })
    const port = await portOf(running)

    const next = authority.issue()
    writeFileSync(keyFile, next.keyPem)
    writeFileSync(certFile, next.certPem)
    running.child.kill('SIGHUP')
    await until(async () => (await fingerprintServed(port, authority.rootPem)) === fingerprintOf(next), {
      deadlineMs: 5_000,
      what: 'the next is served',
    })
    writeFileSync(certFile, 'nonsense')
    running.child.kill('SIGHUP')
    expect(await running.line(/certificate not replaced; the previous one stays in use/)).toContain(certFile)
    expect(await fingerprintServed(port, authority.rootPem)).toBe(fingerprintOf(next))
    running.child.kill('SIGTERM')
    expect(await running.finished).toMatchObject({ code: 0, stderr: '' })
  })

  it('that is unusable ends the start with exit code 1 and the fix', async () => {
    const { env } = ownFolder(authority.issue(new Date(Date.now() - 100 * DAY_MS)))
    const { code, stderr } = await run(['serve', '--listen', '127.0.0.1:0', '--admin-listen', 'off'], {
      env,
      cwd: tempFolder(),
    })
    expect([code, stderr]).toEqual([1, expect.stringMatching(/tls\.crt: expired on .*: replace it/)])
  })
})

describe('commands with the operator’s certificate', () => {
  const check = async (env: Readonly<Record<string, string>>) => {
    const all = { ...env, SIDECAR_UPSTREAM: 'http://127.0.0.1:1' }
    const { stdout } = await runHere(['check'], { env: all, cwd: tempFolder() })
    return stdout.split('\n').find((line) => line.includes(' certificate: ')) ?? ''
  }

  it('check reports its names and days left', async () => {
    expect(await check(ownFolder().env)).toMatch(
      /^ok +certificate: .*tls\.crt, provided by the operator, for localhost, 127\.0\.0\.1; 89 days left$/,
    )
  })

  it('check warns before it expires', async () => {
    const { env } = ownFolder(authority.issue(new Date(Date.now() - 85 * DAY_MS)))
    expect(await check(env)).toMatch(/^note +certificate: .*; 4 days left → ask its issuer to renew it/)
  })

  it('check names its fault', async () => {
    const { env, keyFile } = ownFolder()
    writeFileSync(keyFile, authority.issue().keyPem)
    expect(await check(env)).toMatch(
      /^problem certificate: .*tls\.key: does not belong to .*tls\.crt: use the certificate and key/,
    )
  })

  it('trust names its issuer and says that the sidecar has no root to trust', async () => {
    const { env, certFile } = ownFolder()
    const { code, stdout } = await runHere(['trust'], { env, cwd: tempFolder() })
    expect(code).toBe(0)
    expect(stdout).toContain(`certificate  ${certFile}\n`)
    expect(stdout).toMatch(/^issued by {4}CN=registry-sidecar root [0-9a-f]{8}$/m)
    const json = await runHere(['trust', '--json'], { env, cwd: tempFolder() })
    expect(JSON.parse(json.stdout)).toMatchObject({ path: certFile, clients: [] })
    for (const flag of ['--pem', '--install']) {
      const refused = await runHere(['trust', flag], { env, cwd: tempFolder() })
      expect([refused.code, refused.stderr]).toEqual([
        1,
        expect.stringMatching(/does not end in a root: get the root/),
      ])
    }
  })

  it('trust reads no key, so it needs no right to read the key', async () => {
    const { env, keyFile } = ownFolder()
    writeFileSync(keyFile, 'nonsense')
    expect((await runHere(['trust'], { env, cwd: tempFolder() })).code).toBe(0)
  })

  it('trust prints the root at the end of the chain and the commands to put it into a file', async () => {
    const { env } = ownFolder(authority.issue(), authority.rootPem)
    const cwd = tempFolder()
    const pem = await runHere(['trust', '--pem'], { env, cwd })
    expect(pem.stdout).toBe(authority.rootPem)
    const { stdout } = await runHere(['trust', '--host', 'proxy:8443'], { env, cwd })
    expect(stdout).toContain('  registry-sidecar trust --pem > registry-ca.crt\n')
    expect(stdout).toMatch(
      /install -D -m 644 \S*\/registry-ca\.crt \/etc\/docker\/certs\.d\/proxy:8443\/ca\.crt/,
    )
  })

  it('trust treats a self-signed certificate as its own root', async () => {
    const cwd = tempFolder()
    const made =
      'req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout k -out c -days 9 -subj /CN=x'
    execFileSync('openssl', [...made.split(' '), '-addext', 'subjectAltName=DNS:x'], { cwd, stdio: 'pipe' })
    const env = { SIDECAR_TLS_CERT: 'c', SIDECAR_TLS_KEY: 'k' }
    const { stdout } = await runHere(['trust'], { env, cwd })
    expect(stdout).toContain('This certificate is self-signed')
    expect(stdout).toContain(`install -D -m 644 ${path.join(cwd, 'c')} `)
    expect((await runHere(['trust', '--pem'], { env, cwd })).stdout).toBe(
      readFileSync(path.join(cwd, 'c'), 'utf8'),
    )
  })

  it('one of the two settings alone is reported with the other problems, with exit code 64', async () => {
    const { code, stderr } = await runHere(['serve'], { env: { SIDECAR_TLS_CERT: 'c', SIDECAR_REALM: ' ' } })
    expect(code).toBe(64)
    expect(stderr).toMatch(/SIDECAR_REALM: /)
    expect(stderr).toMatch(/SIDECAR_TLS_CERT: set SIDECAR_TLS_KEY too/)
  })
})
