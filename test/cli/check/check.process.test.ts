import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { createClientAuthority } from '../../fixtures/client-authority.ts'
import { createAuthority } from '../../fixtures/own-certificate.ts'
import { runHere } from '../../fixtures/command.ts'
import { run } from '../../fixtures/process.ts'
import { upstreamForTest, type Behavior } from '../../fixtures/programmable-upstream.ts'
import { registryProgram, startRegistry } from '../../fixtures/registry.ts'
import { ALICE_ENTRY, sidecarForTest } from '../../fixtures/sidecar.ts'
import { tempFolder } from '../../fixtures/temp-folder.ts'

/** Starts a registry that answers with these Locations. */
function locating(location: string): Behavior {
  return (soFar, socket) => {
    const isUpload = soFar.startsWith('POST')
    socket.end(
      isUpload
        ? `HTTP/1.1 202 Accepted\r\nLocation: ${location}\r\nContent-Length: 0\r\n\r\n`
        : 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n',
    )
  }
}

describe('check', () => {
  it.skipIf(registryProgram === undefined)('finds no problem in a valid setup', async () => {
    const registry = await startRegistry()
    onTestFinished(() => registry.stop())
    const sidecar = await sidecarForTest({ upstreamPort: registry.port })
    const env = {
      SIDECAR_UPSTREAM: `http://127.0.0.1:${registry.port}`,
      SIDECAR_USERS: sidecar.usersFile,
      SIDECAR_STATE_DIR: path.join(sidecar.folder, 'state'),
      SIDECAR_HOSTS: 'proxy',
    }
    const { code, stdout } = await runHere(['check'], { env })
    expect(code).toBe(0)
    expect(stdout.trimEnd().split('\n')).toEqual([
      expect.stringMatching(/^ok +settings: /),
      expect.stringMatching(/^ok +users: 1 in /),
      expect.stringMatching(/^ok +certificate: root .*root\.crt, ([0-9A-F]{2}:){31}/),
      expect.stringMatching(/^ok +registry: http:\/\/127\.0\.0\.1:\d+ answers$/),
      expect.stringMatching(/^ok +location: uploads continue at https:\/\/proxy:8443\/v2\//),
    ])
  })

  it('names every problem with its fix', async () => {
    const cwd = tempFolder()
    const { code, stdout } = await runHere(['check', '--json'], {
      cwd,
      env: { SIDECAR_UPSTREAM: 'http://127.0.0.1:1' },
    })
    expect(code).toBe(1)
    const { ok, findings } = JSON.parse(stdout) as { ok: boolean; findings: Record<string, string>[] }
    expect(ok).toBe(false)
    expect(findings.filter(({ level }) => level === 'problem').map(({ part }) => part)).toEqual([
      'users',
      'certificate',
      'registry',
    ])
    expect(findings.find(({ part }) => part === 'users')?.['hint']).toContain('registry-sidecar user add')
    expect(findings.find(({ part }) => part === 'registry')?.['hint']).toContain('SIDECAR_UPSTREAM')
  })

  it('exits with 64 for wrong settings, and lists them', async () => {
    const { code, stdout } = await runHere(['check'], { env: { SIDECAR_LISTEN: 'x', SIDECAR_NONSENSE: '1' } })
    expect(code).toBe(64)
    expect(stdout.match(/^problem settings: /gm)).toHaveLength(2)
  })

  it.each([
    [
      'the registry itself',
      'http://registry:5000/v2/x/blobs/uploads/1',
      /^problem location: .*REGISTRY_HTTP_HOST/m,
    ],
    [
      'plain http, which is fixed on the way',
      'http://proxy:8443/v2/x/blobs/uploads/1',
      /^ok +location: .*https:/m,
    ],
    ['only a path', '/v2/x/blobs/uploads/1', /^ok +location: /m],
  ])('checks that uploads continue at the sidecar: %s', async (_what, location, line) => {
    const upstream = await upstreamForTest(locating(location))
    const env = { SIDECAR_UPSTREAM: `http://127.0.0.1:${upstream.port}`, SIDECAR_HOSTS: 'proxy' }
    expect((await runHere(['check'], { env, cwd: tempFolder() })).stdout).toMatch(line)
  })

  it('lists the names of SIDECAR_HOSTS that the operator’s certificate lacks', async () => {
    const cwd = tempFolder()
    const { certPem, keyPem } = createAuthority().issue()
    writeFileSync(path.join(cwd, 'cert.pem'), certPem)
    writeFileSync(path.join(cwd, 'key.pem'), keyPem)
    const env = {
      SIDECAR_UPSTREAM: 'http://127.0.0.1:1',
      SIDECAR_TLS_CERT: 'cert.pem',
      SIDECAR_TLS_KEY: 'key.pem',
      SIDECAR_HOSTS: 'localhost,proxy,10.0.0.1',
    }
    const { stdout } = await runHere(['check'], { cwd, env })
    expect(stdout).toMatch(
      /^note +certificate: SIDECAR_HOSTS names proxy, 10\.0\.0\.1, which .* → ask its issuer for a certificate/m,
    )
    const fitting = await runHere(['check'], { cwd, env: { ...env, SIDECAR_HOSTS: '' } })
    expect(fitting.stdout).not.toContain('SIDECAR_HOSTS')
  })

  it('checks the client CA file', async () => {
    const cwd = tempFolder()
    writeFileSync(path.join(cwd, 'ca.pem'), createAuthority().rootPem)
    writeFileSync(path.join(cwd, 'empty.pem'), '')
    const env = { SIDECAR_UPSTREAM: 'http://127.0.0.1:1' }
    const good = await runHere(['check'], { cwd, env: { ...env, SIDECAR_TLS_CLIENT_CA: 'ca.pem' } })
    expect(good.stdout).toMatch(/^ok +client CA: 1 in ca\.pem, valid until \d{4}-/m)
    const bad = await runHere(['check'], { cwd, env: { ...env, SIDECAR_TLS_CLIENT_CA: 'empty.pem' } })
    expect(bad.stdout).toMatch(/^problem client CA: empty\.pem: .* → put the certificates/m)
    const expired = createClientAuthority({ notBefore: new Date(0), notAfter: new Date(86_400_000) })
    writeFileSync(path.join(cwd, 'both.pem'), createAuthority().rootPem + expired.cert)
    const both = await runHere(['check'], { cwd, env: { ...env, SIDECAR_TLS_CLIENT_CA: 'both.pem' } })
    expect(both.stdout).toMatch(/^ok +client CA: 1 in both\.pem, valid until/m)
    expect(both.stdout).toMatch(
      /^note +client CA: certificate number 2 in both\.pem is left out: it expired on 1970-\S+ → remove it/m,
    )
  })

  it('does not wait for a writer to a pipe', async () => {
    const cwd = tempFolder()
    execFileSync('mkfifo', ['pipe'], { cwd })
    const env = {
      SIDECAR_UPSTREAM: 'http://127.0.0.1:1',
      SIDECAR_USERS: 'pipe',
      SIDECAR_TLS_CLIENT_CA: 'pipe',
    }
    const { stdout } = await run(['check'], { cwd, env })
    expect(stdout).toMatch(/^problem users: pipe: is a pipe, a device or a socket: put a regular file/m)
    expect(stdout).toMatch(/^problem client CA: pipe: is a pipe, a device or a socket/m)
    const trust = await run(['trust'], {
      cwd,
      env: { ...env, SIDECAR_TLS_CERT: 'pipe', SIDECAR_TLS_KEY: 'pipe' },
    })
    expect([trust.code, trust.stderr]).toEqual([1, expect.stringContaining('is a pipe')])
    const user = await run(['user', 'remove', 'alice'], { cwd, env })
    expect([user.code, user.stderr]).toEqual([1, expect.stringContaining('is a pipe')])
  })

  it('lists skipped lines of the users file, never their content', async () => {
    const cwd = tempFolder()
    mkdirSync(path.join(cwd, 'users'))
    writeFileSync(
      path.join(cwd, 'users/htpasswd'),
      `${ALICE_ENTRY}bob:plaintext-secret\n#registry-sidecar token v1 sha256 ${'d'.repeat(64)}\n`,
    )
    const { stdout } = await runHere(['check'], { cwd, env: { SIDECAR_UPSTREAM: 'http://127.0.0.1:1' } })
    expect(stdout).toMatch(/^note +users: users\/htpasswd:2: skipped: /m)
    expect(stdout).toMatch(
      /^note +users: users\/htpasswd:3: skipped: .*machine password.* damaged; remove it/m,
    )
    expect(stdout).not.toMatch(/plaintext-secret|ddd/)
    expect(stdout).not.toContain('$2')
  })

  it('checks an address with --host, and exits with 1 or 64', async () => {
    const cwd = tempFolder()
    const refused = await runHere(['check', '--host', '127.0.0.1:1'], { cwd })
    expect(refused).toMatchObject({ code: 1, stderr: '' })
    expect(refused.stdout).toMatch(/^problem address: nothing listens on 127\.0\.0\.1:1 → /)
    const wrong = await runHere(['check', '--host', 'https://proxy'], { cwd })
    expect(wrong).toMatchObject({ code: 64, stdout: '' })
    expect(wrong.stderr).toMatch(/--host: /)
  })
})
