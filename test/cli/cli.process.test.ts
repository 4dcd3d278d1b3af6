import { once } from 'node:events'
import { readFileSync, existsSync } from 'node:fs'
import type { IncomingMessage } from 'node:http'
import https from 'node:https'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { TOPICS } from '../../src/settings/table.ts'
import { runHere } from '../fixtures/command.ts'
import { run, start } from '../fixtures/process.ts'
import { answering, OK, upstreamForTest } from '../fixtures/programmable-upstream.ts'
import { tempFolder } from '../fixtures/temp-folder.ts'
import { until } from '../fixtures/until.ts'

const FREE_PORTS = { SIDECAR_LISTEN: '127.0.0.1:0', SIDECAR_ADMIN_LISTEN: '127.0.0.1:0' }

describe('the command line', () => {
  it('prints its version and help', async () => {
    const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string }
    expect(await run(['--version'])).toMatchObject({ code: 0, stdout: `${version}\n`, stderr: '' })
    const help = await runHere(['--help'])
    expect(help.code).toBe(0)
    for (const verb of ['serve', 'user', 'trust', 'check', 'healthcheck']) expect(help.stdout).toContain(verb)
    const serveHelp = await runHere(['serve', '--help'])
    expect(serveHelp.stdout).toContain('SIDECAR_UPSTREAM')
    expect(serveHelp.stdout).toContain('--drain-timeout')
  })

  it("shows a command's own options first, and then only the settings that it uses", async () => {
    const { stdout } = await runHere(['user', 'passwd', '--help'])
    const flags = [...stdout.matchAll(/^ {2}.*?(--[a-z-]+)/gm)].map(([, flag]) => flag)
    expect(flags).toEqual([
      '--generate',
      '--cost',
      '--keep-old',
      '--revoke-tokens',
      '--json',
      '--help',
      '--users',
    ])
    expect(await runHere(['user', 'list', '--listen', ':1'])).toMatchObject({ code: 64, stdout: '' })
  })

  it('shows the settings of serve by topic', async () => {
    const { stdout } = await runHere(['serve', '--help'])
    const headings = [...stdout.matchAll(/^(\S.*):$/gm)].map(([, heading]) => heading)
    expect(headings).toEqual([...TOPICS.map(({ title }) => title), 'Options'])
    const limits = stdout.slice(stdout.indexOf('Limits:'), stdout.indexOf('Logs and files:'))
    expect(limits.match(/--max-[a-z-]+/g)).toHaveLength(4)
  })

  it('checks variables for which the command has no flag too', async () => {
    const { code, stderr } = await runHere(['user', 'list'], {
      env: { SIDECAR_LISTEN: 'x' },
      cwd: tempFolder(),
    })
    expect(code).toBe(64)
    expect(stderr).toContain('SIDECAR_LISTEN')
  })

  it.each([
    [['chek'], "unknown command 'chek'", 'check'],
    [['user', 'lst'], "unknown command 'lst'", 'list'],
    [['user', 'list', '--user', 'x'], "unknown option '--user'", '--users'],
  ])('suggests a command or flag for %j', async (args, message, suggestion) => {
    const { code, stdout, stderr } = await runHere(args, { cwd: tempFolder() })
    expect([code, stdout]).toEqual([64, ''])
    expect(stderr).toContain(`error: ${message}\n(Did you mean ${suggestion}?)`)
  })

  it.each([
    ['an unknown command', ['frobnicate'], run],
    ['an unknown flag', ['serve', '--frobnicate'], runHere],
    ['a password as an argument', ['user', 'add', 'alice', 'secret'], runHere],
    ['an invalid cost', ['user', 'add', 'alice', '--generate', '--cost', '99'], runHere],
    ['a wrong setting', ['serve', '--listen', 'x'], runHere],
  ])('exits with 64 for %s', async (_what, args, command) => {
    const { code, stderr } = await command(args, { cwd: tempFolder() })
    expect(code).toBe(64)
    expect(stderr).not.toBe('')
    expect(stderr).not.toMatch(/\n\s+at /)
  })

  it('reports every wrong setting at once', async () => {
    const env = { SIDECAR_UPSTREAM: 'x', SIDECAR_DRAIN_TIMEOUT: '5', SIDECAR_NONSENSE: '1' }
    const { code, stderr } = await runHere([], { env, cwd: tempFolder() })
    expect(code).toBe(64)
    for (const name of Object.keys(env)) expect(stderr).toContain(name)
  })

  it('manages users from the environment or a flag', async () => {
    const cwd = tempFolder()
    const added = await run(['user', 'add', 'alice', '--cost', '4'], { cwd, input: 'pass word\n' })
    expect(added).toMatchObject({ code: 0, stderr: '' })
    expect(readFileSync(path.join(cwd, 'users/htpasswd'), 'utf8')).toMatch(/^alice:\$2[aby]\$04\$.{53}\n$/)
    const right = await runHere(['user', 'verify', 'alice'], { cwd, input: 'pass word\n' })
    expect(right.code).toBe(0)
    const wrong = await runHere(['user', 'verify', 'alice'], { cwd, input: 'password\n' })
    expect(wrong.code).toBe(1)
    const elsewhere = await runHere(['user', 'add', 'bob', '--generate', '--json', '--users', 'other'], {
      cwd,
    })
    expect(JSON.parse(elsewhere.stdout)).toMatchObject({ username: 'bob' })
    expect(existsSync(path.join(cwd, 'other'))).toBe(true)
  })
})

describe('serve', () => {
  it('runs with only its addresses set, prints the next steps, exits with 0 at SIGTERM, and keeps its root through a restart', async () => {
    const cwd = tempFolder()
    const fingerprints: unknown[] = []
    for (let i = 0; i < 2; i++) {
      const sidecar = start([], { cwd, env: FREE_PORTS })
      const ready = JSON.parse(await sidecar.line(/ready to serve/)) as Record<string, string>
      fingerprints.push(ready['fingerprint'])
      await sidecar.line(/registry-sidecar user add NAME/)
      sidecar.child.kill('SIGTERM')
      expect(await sidecar.finished).toMatchObject({ code: 0, signal: null, stderr: '' })
    }
    expect(fingerprints[0]).toMatch(/^([0-9A-F]{2}:){31}[0-9A-F]{2}$/)
    expect(fingerprints[0]).toBe(fingerprints[1])
  })

  it('forwards without any output on stderr, also no deprecation warnings', async () => {
    const upstream = await upstreamForTest(answering(OK))
    const cwd = tempFolder()
    await runHere(['user', 'add', 'alice', '--cost', '4'], { cwd, input: 'pass word\n' })
    const sidecar = start(['--upstream', `http://127.0.0.1:${upstream.port}`], { cwd, env: FREE_PORTS })
    const { tls } = JSON.parse(await sidecar.line(/ready to serve/)) as { tls: string }
    const ca = readFileSync(path.join(cwd, 'state/root.crt'))
    const request = https.get(`https://${tls}/v2/`, { ca, auth: 'alice:pass word', agent: false })
    const [response] = (await once(request, 'response')) as [IncomingMessage]
    response.resume()
    expect(response.statusCode).toBe(200)
    await sidecar.line(/"status":200/)
    sidecar.child.kill('SIGTERM')
    expect(await sidecar.finished).toMatchObject({ code: 0, stderr: '' })
  })

  it('reloads the users at SIGHUP, even without events and poll', async () => {
    const cwd = tempFolder()
    await runHere(['user', 'add', 'alice', '--cost', '4', '--generate'], { cwd })
    const sidecar = start(['serve', '--watch-poll', 'off'], { cwd, env: FREE_PORTS })
    await sidecar.line(/ready to serve/)
    sidecar.child.kill('SIGHUP')
    await sidecar.line(/SIGHUP received; reloading/)
    sidecar.child.kill('SIGINT')
    expect(await sidecar.finished).toMatchObject({ code: 0, signal: null })
  })

  it('exits with 1 when the port is taken, and names the setting', async () => {
    const upstream = await upstreamForTest(answering(OK))
    const listen = `127.0.0.1:${upstream.port}`
    const result = await run(['--listen', listen, '--admin-listen', 'off'], { cwd: tempFolder() })
    expect(result.code).toBe(1)
    expect(result.stderr).toMatch(/another process uses this port.*SIDECAR_LISTEN/)
  })

  it('exits with 1 when the users file is invalid at start', async () => {
    const cwd = tempFolder()
    const result = await run(['--users', cwd], { cwd, env: FREE_PORTS })
    expect(result.code).toBe(1)
    expect(result.stderr).toMatch(/folder/)
  })
})

describe('healthcheck', () => {
  it('exits with 0 while the sidecar is ready, else with 1', async () => {
    const upstream = await upstreamForTest(answering(OK))
    const cwd = tempFolder()
    const env = { SIDECAR_UPSTREAM: `http://127.0.0.1:${upstream.port}`, SIDECAR_LISTEN: '127.0.0.1:0' }
    const sidecar = start([], { cwd, env: { ...env, SIDECAR_ADMIN_LISTEN: '127.0.0.1:0' } })
    const ready = JSON.parse(await sidecar.line(/ready to serve/)) as { admin: string }
    const admin = { ...env, SIDECAR_ADMIN_LISTEN: ready.admin }
    const withoutUsers = await run(['healthcheck'], { cwd, env: admin })
    expect(withoutUsers.code).toBe(1)
    expect(withoutUsers.stdout).toContain('no users are configured')
    await runHere(['user', 'add', 'alice', '--cost', '4', '--generate'], { cwd, env })
    await sidecar.line(/users in force/)
    // A slow upstream makes the sidecar not ready too.
    const isReady = async () => (await runHere(['healthcheck'], { cwd, env: admin })).code === 0
    await until(isReady, { deadlineMs: 2_000, what: '0' })
    sidecar.child.kill('SIGTERM')
    await sidecar.finished
    // On another port, because another test may use the first one by now.
    const gone = await runHere(['healthcheck'], { cwd, env: { ...env, SIDECAR_ADMIN_LISTEN: '127.0.0.1:1' } })
    expect(gone.code).toBe(1)
    expect(gone.stderr).toMatch(/no sidecar answers on 127\.0\.0\.1:\d+: ECONNREFUSED/)
  })
})
