// Logs in with machine passwords that may do less than their user.

import { execFile, execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { trustFolder, trustRoot } from '../fixtures/docker-client.ts'
import { bridgeAddress, docker, hasEngine, isRoot } from '../fixtures/engine.ts'
import { findProgram } from '../fixtures/find-program.ts'
import { machinePasswordFor, type TestMachinePassword } from '../fixtures/machine-password.ts'
import { registryProgram, startRegistry, type Registry } from '../fixtures/registry.ts'
import { ALICE_ENTRY, startSidecar, type TestSidecar } from '../fixtures/sidecar.ts'
import { makeTempFolder, removeFolder } from '../fixtures/temp-folder.ts'

const skopeo = findProgram('skopeo')
const canRun = hasEngine() && isRoot() && registryProgram !== undefined && skopeo !== undefined

const PULL = machinePasswordFor(ALICE_ENTRY, { allow: ['pull'], repositories: ['team/**'] })
const PUSH = machinePasswordFor(ALICE_ENTRY, { allow: ['pull', 'push'], repositories: ['team/**'] })

// Needs root, because trusted roots are files below /etc.
describe.skipIf(!canRun)('a machine password', { timeout: 60_000 }, () => {
  const folder = makeTempFolder()
  let registry: Registry | undefined
  let sidecar: TestSidecar | undefined
  let host = ''
  let certs = ''

  const client = (...args: readonly string[]) => docker(args, { env: { DOCKER_CONFIG: folder } })
  const logIn = ({ secret }: TestMachinePassword) =>
    docker(['login', '-u', 'alice', '--password-stdin', host], {
      env: { DOCKER_CONFIG: folder },
      input: secret,
    })
  const run = (command: string, { secret }: TestMachinePassword, image: string) =>
    promisify(execFile)(skopeo ?? '', [
      ...[command, '--cert-dir', certs, '--creds', `alice:${secret}`],
      `docker://${host}/${image}`,
    ])

  beforeAll(async () => {
    // An address outside the loopback, where the engine verifies certificates.
    const address = await bridgeAddress()
    registry = await startRegistry()
    sidecar = await startSidecar({
      upstreamPort: registry.port,
      users: ALICE_ENTRY + PULL.line + PUSH.line,
      env: { SIDECAR_LISTEN: `${address}:0`, SIDECAR_HOSTS: address },
    })
    host = `${address}:${sidecar.port}`
    certs = trustFolder(host)
    trustRoot(host, sidecar.root.pem)
    writeFileSync(path.join(folder, 'layer.bin'), randomBytes(100_000))
    execFileSync('tar', ['-cf', 'image.tar', 'layer.bin'], { cwd: folder })
    for (const name of ['team/app', 'other/app'])
      await client('import', path.join(folder, 'image.tar'), `${host}/${name}:1`)
  })
  afterAll(async () => {
    for (const name of ['team/app', 'other/app'])
      await client('image', 'rm', '-f', `${host}/${name}:1`).catch(() => undefined)
    removeFolder(certs)
    await sidecar?.stop()
    await registry?.stop()
    removeFolder(folder)
  })

  it('logs docker in, and pushes only where it may', async () => {
    expect((await logIn(PUSH)).stdout).toContain('Login Succeeded')
    await client('push', `${host}/team/app:1`)
    await expect(client('push', `${host}/other/app:1`)).rejects.toThrow(
      /denied: this machine password may not push to other\/app/,
    )
  })

  it('that may only pull is refused a push with a sentence that people see, and pulls', async () => {
    expect((await logIn(PULL)).stdout).toContain('Login Succeeded')
    await expect(client('push', `${host}/team/app:1`)).rejects.toThrow(
      /denied: this machine password may not push to team\/app/,
    )
    await client('image', 'rm', '-f', `${host}/team/app:1`)
    await client('pull', `${host}/team/app:1`)
  })

  it('works with skopeo, which may not delete', async () => {
    expect((await run('inspect', PULL, 'team/app:1')).stdout).toContain('"Digest"')
    await expect(run('delete', PUSH, 'team/app:1')).rejects.toThrow(/403|may not delete/)
    await expect(run('inspect', PULL, 'other/app:1')).rejects.toThrow(/403|may not pull/)
  })

  it('is refused after its line is gone, as docker login shows', async () => {
    sidecar?.writeUsers(ALICE_ENTRY + PUSH.line)
    await sidecar?.reload()
    await expect(logIn(PULL)).rejects.toThrow(/401 Unauthorized/)
    expect((await logIn(PUSH)).stdout).toContain('Login Succeeded')
  })
})
