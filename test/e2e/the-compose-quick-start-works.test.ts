// Runs the README's quick start with a real Docker Engine.
//
// Uses a fresh copy of the project and an address where the engine verifies certificates.

import { execFile } from 'node:child_process'
import {
  appendFileSync,
  chownSync,
  cpSync,
  existsSync,
  readFileSync,
  renameSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { BlockList } from 'node:net'
import { networkInterfaces } from 'node:os'
import path from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { promisify } from 'node:util'
import { hashSync } from 'bcryptjs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { buildRandomImage, imageId, mapName, trustFolder, trustRoot } from '../fixtures/docker-client.ts'
import { compose, docker, hasEngine, isRoot } from '../fixtures/engine.ts'
import { buildSidecarImage, copyProject, SIDECAR_IMAGE } from '../fixtures/sidecar-image.ts'
import { makeTempFolder, removeFolder } from '../fixtures/temp-folder.ts'
import { until } from '../fixtures/until.ts'

const PROJECT = `sidecar-e2e-${process.pid}`
const IMAGE = 'proxy:443/team/hello:1'
const CERTS = trustFolder('proxy:443')
// Neither root nor the user of the container.
const ORDINARY_UID = 1234

// Needs root, because the name and the trusted root are files below /etc.
describe.skipIf(!hasEngine() || !isRoot())('docker compose', { timeout: 300_000 }, () => {
  const clone = makeTempFolder()
  const config = makeTempFolder()
  const folder = path.join(clone, 'docker')
  const users = path.join(folder, 'users', 'htpasswd')
  let unmapName = () => Promise.resolve()
  const env = { SIDECAR_PORT: '0', SIDECAR_IMAGE, DOCKER_CONFIG: config }
  const trustBefore = path.join(config, 'trust-before')
  let container = ''
  let password = ''

  const composed = (...args: string[]) => compose(['-p', PROJECT, ...args], { cwd: folder, env })
  const client = (args: string[], input = '') => docker(args, { env, input })
  const login = (name: string, secret: string) =>
    client(['login', 'proxy:443', '-u', name, '--password-stdin'], secret)
  const registrySidecar = async (uid: number, ...args: string[]): Promise<string> =>
    (await composed('exec', '-T', '-u', `${uid}:${uid}`, 'sidecar', 'registry-sidecar', ...args)).stdout

  beforeAll(async () => {
    copyProject(clone)
    if (existsSync(CERTS)) cpSync(CERTS, trustBefore, { recursive: true })
    removeFolder(CERTS)
    await buildSidecarImage(clone)
    await composed('up', '-d')
    container = (await composed('ps', '-q', 'sidecar')).stdout.trim()
    const address = `{{(index .NetworkSettings.Networks "${PROJECT}_clients").IPAddress}}`
    const { stdout } = await docker(['inspect', '-f', address, container])
    // A name for an address outside the loopback, where the engine verifies certificates.
    unmapName = await mapName('proxy', stdout.trim())
  }, 300_000)

  afterAll(async () => {
    await unmapName()
    removeFolder(CERTS)
    if (existsSync(trustBefore)) cpSync(trustBefore, CERTS, { recursive: true })
    await client(['image', 'rm', IMAGE]).catch(() => undefined)
    await composed('down', '-v', '-t', '5')
    removeFolder(clone)
    removeFolder(config)
  })

  it('starts without users, and says how to add one', async () => {
    const says = async () =>
      (await docker(['logs', container])).stdout.includes('registry-sidecar user add NAME')
    await until(says, { deadlineMs: 15_000, what: 'the next step in the log' })
  })

  it('adds a user for the owner of the folder, root or not', async () => {
    const added = JSON.parse(await registrySidecar(0, 'user', 'add', 'alice', '--generate', '--json')) as {
      password: string
    }
    password = added.password
    chownSync(path.dirname(users), ORDINARY_UID, ORDINARY_UID)
    chownSync(users, ORDINARY_UID, ORDINARY_UID)
    await registrySidecar(ORDINARY_UID, 'user', 'add', 'bob', '--generate')
    expect(statSync(users).uid).toBe(ORDINARY_UID)
    expect(JSON.parse(await registrySidecar(1000, 'user', 'list', '--json'))).toMatchObject({
      users: [{ username: 'alice' }, { username: 'bob' }],
    })
  })

  it('is healthy when a user exists', async () => {
    const health = async () =>
      (await docker(['inspect', '-f', '{{.State.Health.Status}}', container])).stdout.trim()
    await until(async () => (await health()) === 'healthy', { deadlineMs: 60_000, what: 'health' })
  })

  it('is refused by docker before its root is trusted', async () => {
    await expect(login('alice', password)).rejects.toThrow(/x509|certificate/)
    trustRoot('proxy:443', await registrySidecar(1000, 'trust', '--pem'))
    await expect(login('alice', 'wrong')).rejects.toThrow(/401 Unauthorized|incorrect/)
    expect((await login('alice', password)).stdout).toContain('Login Succeeded')
  })

  it('stores a push and serves its pull', async () => {
    await buildRandomImage(IMAGE)
    const pushed = await imageId(IMAGE)
    await client(['push', IMAGE])
    await client(['image', 'rm', IMAGE])
    await client(['pull', IMAGE])
    expect(await imageId(IMAGE)).toBe(pushed)
  })

  it('collects garbage while nobody pushes, and keeps the image', async () => {
    const script = path.join(folder, 'garbage-collect.sh')
    const settings = { ...process.env, ...env, COMPOSE_PROJECT_NAME: PROJECT }
    const { stdout } = await promisify(execFile)(script, [], { env: settings })
    expect(stdout).toMatch(/blobs marked, \d+ blobs/)
    expect(stdout).toMatch(/thawed: pushes go on\n$/)
    await client(['image', 'rm', IMAGE])
    await client(['pull', IMAGE])
  })

  it('accepts a user that was added by hand on the host', async () => {
    appendFileSync(users, `carol:${hashSync('by hand', 5)}\n`)
    const isIn = () =>
      login('carol', 'by hand').then(
        () => true,
        () => false,
      )
    await until(isIn, { deadlineMs: 10_000, what: 'the new user' })
  })

  it('refuses the next pull of a user whose line was removed on the host', async () => {
    await login('alice', password)
    const without = readFileSync(users, 'utf8')
      .split('\n')
      .filter((line) => !line.startsWith('alice:'))
      .join('\n')
    writeFileSync(`${users}.new`, without)
    renameSync(`${users}.new`, users)
    // The promise is about pulls that begin after this moment; their duration does not matter.
    await pause(1_000)
    await expect(client(['pull', IMAGE])).rejects.toThrow(
      /unauthorized|authentication required|no basic auth/,
    )
  })

  it('stays trusted after a restart, and stops before the grace period ends', async () => {
    await docker(['stop', container])
    expect((await docker(['inspect', '-f', '{{.State.ExitCode}}', container])).stdout.trim()).toBe('0')
    await docker(['start', container])
    const isIn = () =>
      login('carol', 'by hand').then(
        () => true,
        () => false,
      )
    await until(isIn, { deadlineMs: 15_000, what: 'a login with the same root' })
    await client(['pull', IMAGE])
  })

  it('runs with few privileges', async () => {
    const inside = async (script: string) =>
      (await docker(['exec', container, 'sh', '-c', script])).stdout.trim()
    expect(await inside('id -u')).toBe('1000')
    // The owner of the folder writes here, so only the read-only file system can refuse it.
    await expect(docker(['exec', '-u', '0', container, 'touch', '/app/x'])).rejects.toThrow(/Read-only/)
    // Checks the bounding set, because the effective set of a non-root user is always empty.
    expect(await inside('grep CapBnd /proc/1/status')).toMatch(/0000000000000000$/)
    expect(await inside('grep NoNewPrivs /proc/1/status')).toMatch(/1$/)
    expect(await inside('stat -c %a /state/root.key /state/leaf.key')).toBe('600\n600')
    const { stdout } = await composed('ps', '-q', 'registry')
    const ports = await docker(['inspect', '-f', '{{json .NetworkSettings.Ports}}', stdout.trim()])
    expect(
      Object.values(JSON.parse(ports.stdout) as object)
        .flat()
        .filter(Boolean),
    ).toEqual([])
  })

  it.each(['registry', 'sidecar'])('rotates the log of the %s', async (service) => {
    const { stdout } = await composed('ps', '-q', service)
    const { stdout: log } = await docker(['inspect', '-f', '{{json .HostConfig.LogConfig}}', stdout.trim()])
    expect(JSON.parse(log)).toEqual({ Type: 'json-file', Config: { 'max-size': '20m', 'max-file': '5' } })
  })

  it('does not let the host reach the registry without a login', async () => {
    const network = '{{range .IPAM.Config}}{{.Subnet}}{{end}}'
    const { stdout } = await docker(['network', 'inspect', '-f', network, `${PROJECT}_default`])
    const [prefix = '', bits] = stdout.trim().split('/')
    const onHost = Object.values(networkInterfaces()).flatMap((list) => list ?? [])
    const subnet = new BlockList()
    subnet.addSubnet(prefix, Number(bits))
    expect(onHost.filter(({ address, family }) => family === 'IPv4' && subnet.check(address))).toEqual([])
  })

  it('logs no warning', async () => {
    const { stdout, stderr } = await docker(['logs', container])
    expect(stderr).toBe('')
    expect(stdout).not.toMatch(/deprecat/i)
    expect(stdout).not.toContain(password)
    expect(stdout).not.toMatch(/\$2[aby]\$/)
  })
})
