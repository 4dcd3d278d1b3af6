// Runs the real command. Each test sets PATH, so that the machine's programs do not matter.

import { randomBytes, createHash } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import https from 'node:https'
import net from 'node:net'
import path from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { probeRegistry } from '../../../src/upstream/probe/probe.ts'
import { createAuthority, fingerprintOf, fingerprintServed } from '../../fixtures/own-certificate.ts'
import { run, start, type Running } from '../../fixtures/process.ts'
import { answering, upstreamForTest } from '../../fixtures/programmable-upstream.ts'
import { isRealRequired } from '../../fixtures/find-program.ts'
import { registryProgram, startRegistry } from '../../fixtures/registry.ts'
import { tempFolder } from '../../fixtures/temp-folder.ts'
import { until } from '../../fixtures/until.ts'

const isUsualTaken = (await probeRegistry({ hostname: '127.0.0.1', port: 5000 })).kind === 'answers'
if (isUsualTaken && isRealRequired())
  throw new Error('REQUIRE_REAL=1, but a registry on 127.0.0.1:5000 is in the way')

const KEYS: readonly string[] = ['status.key', 'token.key']
const canUseProgram = registryProgram !== undefined
const canSearch = canUseProgram && !isUsualTaken
const canInstall = canSearch && process.getuid?.() === 0 && existsSync('/etc/debian_version')

interface Folder {
  readonly folder: string
  /** Puts the real registry on the PATH, or a program with this shell script. */
  readonly install: (name: string, script?: string) => void
  readonly quickstart: (env?: Readonly<Record<string, string>>) => Running
}

function newcomer(): Folder {
  const folder = tempFolder()
  const bin = path.join(folder, 'bin')
  mkdirSync(bin)
  return {
    folder,
    install: (name, script) => {
      if (script === undefined) symlinkSync(registryProgram ?? '', path.join(bin, name))
      else writeFileSync(path.join(bin, name), `#!/bin/sh\n${script}\n`, { mode: 0o755 })
    },
    quickstart: (env) =>
      start(['quickstart'], {
        cwd: folder,
        env: { PATH: bin, SIDECAR_LISTEN: '127.0.0.1:0', SIDECAR_ADMIN_LISTEN: 'off', ...env },
      }),
  }
}

/** Creates a client of a ready quickstart that trusts its root. */
async function clientOf(running: Running, password?: string): Promise<Client> {
  const port = Number(/localhost:(\d+)/.exec(await running.line(/docker login localhost/))?.[1])
  const ca = readFileSync(/root certificate (.*)/.exec(await running.line(/root certificate/))?.[1] ?? '')
  const secret = password ?? (await running.line(/^password: /)).replace('password: ', '')
  const send: Client['send'] = (method, target, body) =>
    new Promise((resolve, reject) => {
      const options = {
        host: '127.0.0.1',
        port,
        ca,
        method,
        path: target,
        auth: `admin:${secret}`,
        agent: false,
      }
      const request = https.request(options, (response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.on('error', reject)
        response.on('end', () => {
          const { statusCode: status = 0, headers } = response
          resolve({ status, location: headers.location ?? '', body: Buffer.concat(chunks) })
        })
      })
      request.on('error', reject)
      request.end(body)
    })
  return { password: secret, send }
}

interface Client {
  readonly password: string
  readonly send: (
    method: string,
    target: string,
    body?: Buffer,
  ) => Promise<{ readonly status: number; readonly location: string; readonly body: Buffer }>
}

const BLOB = randomBytes(100_000)
const DIGEST = `sha256:${createHash('sha256').update(BLOB).digest('hex')}`
const BLOB_PATH = `/v2/hello/blobs/${DIGEST}`

async function push({ send }: Client): Promise<void> {
  const { status, location } = await send('POST', '/v2/hello/blobs/uploads/')
  expect(status).toBe(202)
  const { pathname, search } = new URL(location)
  expect((await send('PUT', `${pathname}${search}&digest=${DIGEST}`, BLOB)).status).toBe(201)
}

async function stop(running: Running): Promise<void> {
  running.child.kill('SIGTERM')
  expect(await running.finished).toMatchObject({ code: 0, signal: null })
}

/** The port of the registry that a quickstart started. */
function registryPort(folder: string): number {
  return Number(
    /127\.0\.0\.1:(\d+)/.exec(readFileSync(path.join(folder, 'registry-data/registry.yml'), 'utf8'))?.[1],
  )
}

async function isRegistryGone(folder: string): Promise<boolean> {
  return (await probeRegistry({ hostname: '127.0.0.1', port: registryPort(folder) })).kind === 'unreachable'
}

describe('quickstart', () => {
  it.skipIf(!canSearch)(
    'runs a registry of the PATH, and finds all data again at the next start',
    async () => {
      const { folder, install, quickstart } = newcomer()
      install('docker-registry')
      const first = quickstart({ REGISTRY_HTTP_ADDR: '127.0.0.1:1' })
      const client = await clientOf(first)
      await push(client)
      await stop(first)
      expect(first.stdout()).toContain('added admin to users/htpasswd')
      expect(await isRegistryGone(folder)).toBe(true)
      const secret = readFileSync(path.join(folder, 'registry-data/http-secret'), 'utf8')

      const second = quickstart()
      const again = await clientOf(second, client.password)
      expect((await again.send('GET', BLOB_PATH)).body.equals(BLOB)).toBe(true)
      await stop(second)
      expect(second.stdout()).toContain('The users in users/htpasswd are unchanged')
      expect(second.stdout()).toContain('password is lost: node dist/main.js user passwd admin --generate\n')
      expect(second.stdout()).not.toContain('password: ')
      expect(readFileSync(path.join(folder, 'registry-data/registry.yml'), 'utf8')).toContain(secret)
    },
  )

  it.skipIf(!canUseProgram)('uses the registry of the settings, and does not stop it', async () => {
    const registry = await startRegistry()
    onTestFinished(() => registry.stop())
    const running = newcomer().quickstart({ SIDECAR_UPSTREAM: `http://127.0.0.1:${registry.port}` })
    await push(await clientOf(running))
    await stop(running)
    const isThere = async () =>
      (await probeRegistry({ hostname: '127.0.0.1', port: registry.port })).kind === 'answers'
    await until(isThere, { deadlineMs: 5_000, what: 'its answer' })
  })

  it('gives its addresses to other commands in its folder', async () => {
    const upstream = await upstreamForTest(answering('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}'))
    const { folder, quickstart } = newcomer()
    const running = quickstart({
      SIDECAR_UPSTREAM: `http://127.0.0.1:${upstream.port}`,
      SIDECAR_ADMIN_LISTEN: '127.0.0.1:0',
    })
    const login = await running.line(/docker login localhost/)
    const { stdout } = await run(['check'], { cwd: folder })
    expect(stdout).toMatch(new RegExp(`^ok +registry: http://127\\.0\\.0\\.1:${upstream.port} answers$`, 'm'))
    const trusted = await run(['trust'], { cwd: folder })
    expect(trusted).toMatchObject({ code: 0 })
    expect(trusted.stdout).toContain(/localhost:\d+/.exec(login)?.[0])
    const isReady = async () => (await run(['healthcheck'], { cwd: folder })).code === 0
    await until(isReady, { deadlineMs: 5_000, what: '0' })
    await stop(running)
    expect((await run(['check'], { cwd: folder })).stdout).toContain('http://127.0.0.1:5000')
  })

  it('shows how to add a user when the users file has none', async () => {
    const upstream = await upstreamForTest(answering('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}'))
    const { folder, quickstart } = newcomer()
    writeFileSync(path.join(folder, 'my users'), '# nobody\n')
    const running = quickstart({
      SIDECAR_UPSTREAM: `http://127.0.0.1:${upstream.port}`,
      SIDECAR_USERS: 'my users',
    })
    expect(await running.line(/No users/)).toContain("user add admin --generate --users 'my users'")
    await running.line(/docker login localhost/)
    await stop(running)
  })

  it('serves the operator’s certificate, and refers clients to its issuer', async () => {
    const upstream = await upstreamForTest(answering('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}'))
    const { folder, quickstart } = newcomer()
    const authority = createAuthority()
    const pair = authority.issue()
    writeFileSync(path.join(folder, 'tls.crt'), pair.certPem)
    writeFileSync(path.join(folder, 'tls.key'), pair.keyPem, { mode: 0o600 })
    const running = quickstart({
      SIDECAR_UPSTREAM: `http://127.0.0.1:${upstream.port}`,
      SIDECAR_TLS_CERT: 'tls.crt',
      SIDECAR_TLS_KEY: 'tls.key',
    })
    const port = Number(/localhost:(\d+)/.exec(await running.line(/docker login localhost/))?.[1])
    expect(await fingerprintServed(port, authority.rootPem)).toBe(fingerprintOf(pair))
    expect(await running.line(/^1\. /)).toBe(
      '1. Make sure that clients trust tls.crt: node dist/main.js trust',
    )
    await stop(running)
    expect(running.stdout()).not.toContain('Trust the root certificate')
    // No root and no leaf.
    expect(readdirSync(path.join(folder, 'state')).filter((name) => !KEYS.includes(name))).toEqual([])
  })

  it.skipIf(!canSearch)('tries the next option when Docker cannot run the image, and says so', async () => {
    const { folder, install, quickstart } = newcomer()
    install(
      'docker',
      '[ "$1" = info ] && echo 29.0.0 && exit; echo "$@" >>docker.log; echo "pull denied" >&2; exit 125',
    )
    install('registry')
    const running = quickstart()
    await push(await clientOf(running))
    await stop(running)
    expect(running.stdout()).toContain('Docker cannot run registry:2: pull denied. Trying the next option.')
    expect(readFileSync(path.join(folder, 'docker.log'), 'utf8')).toMatch(
      /^run -d --rm --name (\S+) -p 127\.0\.0\.1::5000 .* -v \1:\/var\/lib\/registry registry:2\nrm \1\n/m,
    )
  })

  it.skipIf(!canSearch)('tries docker-registry when the program registry is something else', async () => {
    const { install, quickstart } = newcomer()
    install('registry', 'exit 3')
    install('docker-registry')
    const running = quickstart()
    await push(await clientOf(running))
    await stop(running)
    expect(running.stdout()).toMatch(/registry\.log: it exited at once\. Trying the next option/)
  })

  it.skipIf(!canSearch)('uses another port when another program took its port', async () => {
    const { folder, install, quickstart } = newcomer()
    const first = 'if [ ! -e taken ]; then while [ ! -e taken ]; do /bin/sleep 0.05; done; exit 1; fi'
    install('registry', `${first}; exec ${registryProgram ?? ''} "$@"`)
    const running = quickstart()
    const settings = path.join(folder, 'registry-data/registry.yml')
    const isChosen = () => existsSync(settings) && readFileSync(settings, 'utf8').endsWith('}')
    await until(isChosen, { deadlineMs: 10_000, what: 'its port' })
    const port = registryPort(folder)
    const other = net.createServer((socket) => socket.destroy()).listen(port, '127.0.0.1')
    onTestFinished(() => {
      other.close()
    })
    await once(other, 'listening')
    writeFileSync(path.join(folder, 'taken'), '')
    await push(await clientOf(running))
    expect(registryPort(folder)).not.toBe(port)
    await stop(running)
  })

  it.skipIf(!canSearch)('uses the container of an earlier start, and does not stop it', async () => {
    const registry = await startRegistry()
    onTestFinished(() => registry.stop())
    const { folder, install, quickstart } = newcomer()
    install(
      'docker',
      `echo "$1" >>docker.log; [ "$1" = port ] && echo 127.0.0.1:${registry.port} || echo 29.0.0`,
    )
    const running = quickstart()
    await push(await clientOf(running))
    await stop(running)
    expect(readFileSync(path.join(folder, 'docker.log'), 'utf8')).toBe('info\nport\n')
    expect(running.stdout()).toContain('still running from an earlier start')
  })

  it.skipIf(!canInstall)(
    'installs the package as root on Debian, with new package lists if needed',
    async () => {
      const { folder, install, quickstart } = newcomer()
      const installs = `[ "$1" = install ] && [ -e updated ] && exec /bin/ln -s ${registryProgram ?? ''} bin/docker-registry`
      install(
        'apt-get',
        `echo "$DEBIAN_FRONTEND $*" >>apt.log; ${installs}; [ "$1" = update ] && exec /bin/touch updated; exit 100`,
      )
      const running = quickstart()
      await push(await clientOf(running))
      await stop(running)
      expect(readFileSync(path.join(folder, 'apt.log'), 'utf8').split('\n')).toEqual([
        'noninteractive install -y --no-install-recommends docker-registry',
        'noninteractive update',
        'noninteractive install -y --no-install-recommends docker-registry',
        '',
      ])
    },
  )
})

describe('quickstart ends', () => {
  it.each(['SIDECAR_LISTEN', 'SIDECAR_ADMIN_LISTEN'])(
    'with no user created when the port of %s is taken',
    async (variable) => {
      const upstream = await upstreamForTest(answering('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}'))
      const { folder, quickstart } = newcomer()
      const { code, stdout, stderr } = await quickstart({
        SIDECAR_UPSTREAM: `http://127.0.0.1:${upstream.port}`,
        [variable]: `127.0.0.1:${upstream.port}`,
      }).finished
      expect(code).toBe(1)
      expect(stderr).toContain(variable)
      expect(stdout).not.toContain('password')
      expect(existsSync(path.join(folder, 'users'))).toBe(false)
    },
  )

  it.skipIf(isUsualTaken)('with the ways to get a registry when it finds none', async () => {
    const { folder, quickstart } = newcomer()
    const { code, stderr } = await quickstart().finished
    expect(code).toBe(1)
    for (const way of ['SIDECAR_UPSTREAM', 'Docker', 'on the PATH', 'apt-get install'])
      expect(stderr).toContain(way)
    expect(existsSync(path.join(folder, 'users'))).toBe(false)
  })

  it('with the reason when the registry of the settings is not a registry', async () => {
    const upstream = await upstreamForTest(answering('HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n'))
    const { code, stderr } = await newcomer().quickstart({
      SIDECAR_UPSTREAM: `http://127.0.0.1:${upstream.port}`,
    }).finished
    expect(code).toBe(1)
    expect(stderr).toContain('GET /v2/ answers 404')
  })

  it('with 64 for wrong settings, before anything is started', async () => {
    const { folder, quickstart } = newcomer()
    const { code, stderr } = await quickstart({ SIDECAR_LISTEN: 'nowhere', SIDECAR_UPSTREEM: 'x' }).finished
    expect(code).toBe(64)
    expect(stderr).toMatch(/SIDECAR_UPSTREEM[^]*SIDECAR_LISTEN/)
    expect(existsSync(path.join(folder, 'registry-data'))).toBe(false)
  })

  it.skipIf(!canSearch)(
    'with the name of the setting when the port is taken, and stops its registry',
    async () => {
      const taken = net.createServer().listen(0, '127.0.0.1')
      onTestFinished(() => {
        taken.close()
      })
      await until(() => taken.listening, { deadlineMs: 5_000, what: 'a port that is taken' })
      const { port } = taken.address() as net.AddressInfo
      const { folder, install, quickstart } = newcomer()
      install('registry')
      const { code, stderr } = await quickstart({ SIDECAR_LISTEN: `127.0.0.1:${port}` }).finished
      expect(code).toBe(1)
      expect(stderr).toContain('SIDECAR_LISTEN')
      expect(await isRegistryGone(folder)).toBe(true)
    },
  )

  it.skipIf(!canSearch)('together with its registry, even if it is killed', async () => {
    const { folder, install, quickstart } = newcomer()
    install('registry')
    const running = quickstart()
    await running.line(/docker login/)
    await until(async () => !(await isRegistryGone(folder)), { deadlineMs: 5_000, what: 'the registry' })
    running.child.kill('SIGKILL')
    await until(() => isRegistryGone(folder), { deadlineMs: 5_000, what: 'the end of the registry' })
  })

  it.skipIf(isUsualTaken)('at a signal while Docker pulls the image', async () => {
    const { folder, install, quickstart } = newcomer()
    install(
      'docker',
      '[ "$1" = info ] && echo 29.0.0 && exit; [ "$1" = run ] && echo >pulling && exec /bin/sleep 60; exit 1',
    )
    const running = quickstart()
    await until(() => existsSync(path.join(folder, 'pulling')), { deadlineMs: 10_000, what: 'the pull' })
    running.child.kill('SIGINT')
    const { code, stderr } = await running.finished
    expect(code).toBe(1)
    expect(stderr).toBe('registry-sidecar: stopped by SIGINT\n')
  })
})

describe('a registry that ends while the sidecar runs', () => {
  it.skipIf(!canSearch)('is reported, and the sidecar continues', async () => {
    const { folder, install, quickstart } = newcomer()
    install('registry', `echo $$ >pid; exec ${registryProgram ?? ''} "$@"`)
    const running = quickstart()
    const client = await clientOf(running)
    process.kill(Number(readFileSync(path.join(folder, 'pid'), 'utf8')), 'SIGKILL')
    await until(() => running.stderr().includes('the registry has exited'), {
      deadlineMs: 5_000,
      what: 'the notice',
    })
    expect((await client.send('GET', '/v2/')).status).toBe(502)
    await stop(running)
  })
})
