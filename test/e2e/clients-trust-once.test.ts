// A Docker Engine trusts the root once and keeps working.
//
// Renewals, restarts and upgrades of the sidecar change nothing on the engine; login, push and pull continue.

import { X509Certificate } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { issueRoot } from '../../src/pki/issue.ts'
import { buildRandomImage, imageId, mapName, trustFolder, trustRoot } from '../fixtures/docker-client.ts'
import { docker, hasEngine, isRoot } from '../fixtures/engine.ts'
import { fingerprintServed } from '../fixtures/own-certificate.ts'
import { ALICE, ALICE_ENTRY } from '../fixtures/sidecar.ts'
import { buildSidecarImage, copyProject, SIDECAR_IMAGE } from '../fixtures/sidecar-image.ts'
import { makeTempFolder, removeFolder } from '../fixtures/temp-folder.ts'
import { until } from '../fixtures/until.ts'

const ID = `sidecar-trust-${process.pid}`
const UPGRADED_IMAGE = `${SIDECAR_IMAGE}-upgraded`
const PORT = 8443
const OLD_NAME = 'trust-once.sidecar.test'
const NEW_NAME = 'any.renamed.sidecar.test'
const NEW_WILDCARD = '*.renamed.sidecar.test'
const [USERNAME = '', PASSWORD = ''] = ALICE.split(':')

// Needs root, because names and trusted roots are files below /etc.
describe.skipIf(!hasEngine() || !isRoot())('docker that trusts the root', { timeout: 60_000 }, () => {
  const folder = makeTempFolder()
  const env = { DOCKER_CONFIG: path.join(folder, 'docker-config') }
  const undo: (() => unknown)[] = []
  let address = ''
  let rootPem = ''

  const registryOf = (name: string) => `${name}:${PORT}`
  const login = (name: string) =>
    docker(['login', registryOf(name), '-u', USERNAME, '--password-stdin'], { env, input: PASSWORD })
  const registrySidecar = async (...args: string[]) =>
    (await docker(['exec', ID, 'registry-sidecar', ...args])).stdout

  /** Replaces the sidecar on the same state volume and address. */
  async function runSidecar(image: string, hosts: string): Promise<void> {
    await docker(['rm', '-f', ID])
    const settings = {
      SIDECAR_LISTEN: `:${PORT}`,
      SIDECAR_HOSTS: hosts,
      SIDECAR_UPSTREAM: 'http://127.0.0.1:5000',
    }
    const volumes = ['-v', `${ID}:/state`, '-v', `${path.join(folder, 'users')}:/users:ro`]
    const variables = Object.entries(settings).flatMap(([name, value]) => ['-e', `${name}=${value}`])
    const where = ['--name', ID, '--network', `container:${ID}-registry`]
    await docker(['run', '-d', ...where, ...volumes, ...variables, image])
    await untilReady()
  }

  async function untilReady(): Promise<void> {
    const isReady = () =>
      registrySidecar('healthcheck').then(
        () => true,
        () => false,
      )
    await until(isReady, { deadlineMs: 20_000, what: 'a sidecar that is ready' })
  }

  /** Resolves to the fingerprint of the served leaf, verified under the root. */
  const fingerprintAt = (name: string) =>
    fingerprintServed(PORT, rootPem, { host: address, servername: name })

  async function loginPushAndPull(name: string): Promise<void> {
    const image = `${registryOf(name)}/team/hello:1`
    await docker(['logout', registryOf(name)], { env })
    expect((await login(name)).stdout).toContain('Login Succeeded')
    await buildRandomImage(image, 500_000)
    try {
      const pushed = await imageId(image)
      await docker(['push', image], { env })
      await docker(['image', 'rm', image])
      await docker(['pull', image], { env })
      expect(await imageId(image)).toBe(pushed)
    } finally {
      await docker(['image', 'rm', image]).catch(() => undefined)
    }
  }

  beforeAll(async () => {
    undo.push(() => {
      removeFolder(folder)
    })
    const copy = path.join(folder, 'copy')
    copyProject(copy)
    await buildSidecarImage(copy)
    mkdirSync(path.join(folder, 'users'))
    writeFileSync(path.join(folder, 'users', 'htpasswd'), ALICE_ENTRY)
    undo.push(
      () => docker(['volume', 'rm', '-f', ID]),
      () => docker(['rm', '-f', '-v', `${ID}-registry`]),
    )
    await docker(['run', '-d', '--name', `${ID}-registry`, 'registry:2'])
    undo.push(() => docker(['rm', '-f', '-v', ID]))
    await runSidecar(SIDECAR_IMAGE, OLD_NAME)
    const inspected = await docker(['inspect', '-f', '{{.NetworkSettings.IPAddress}}', `${ID}-registry`])
    address = inspected.stdout.trim()
    rootPem = await registrySidecar('trust', '--pem')
    for (const name of [OLD_NAME, NEW_NAME]) undo.push(await mapName(name, address))
    // The last change to the client. Only the test of refusals changes it and restores it.
    for (const name of [OLD_NAME, NEW_NAME, address]) {
      undo.push(() => {
        removeFolder(trustFolder(registryOf(name)))
      })
      trustRoot(registryOf(name), rootPem)
    }
  }, 300_000)

  afterAll(async () => {
    for (const step of undo.toReversed()) await step()
    await docker(['image', 'rm', UPGRADED_IMAGE]).catch(() => undefined)
  }, 60_000)

  it('logs in, pushes and pulls, by name and by address', async () => {
    await loginPushAndPull(OLD_NAME)
    await loginPushAndPull(address)
  })

  it('fails without a trusted root, or with another root', async () => {
    removeFolder(trustFolder(registryOf(OLD_NAME)))
    await expect(login(OLD_NAME)).rejects.toThrow(/x509: certificate signed by unknown authority/)
    trustRoot(registryOf(OLD_NAME), issueRoot({ now: new Date() }).certPem)
    await expect(login(OLD_NAME)).rejects.toThrow(/x509: certificate signed by unknown authority/)
    trustRoot(registryOf(OLD_NAME), rootPem)
    await expect(login(OLD_NAME)).resolves.toMatchObject({
      stdout: expect.stringContaining('Succeeded') as string,
    })
  })

  it('continues when the names change, and accepts the new name under the same root', async () => {
    await expect(login(NEW_NAME)).rejects.toThrow(
      /x509: certificate is valid for .*, not any\.renamed\.sidecar\.test/,
    )
    const before = await fingerprintAt(OLD_NAME)
    await runSidecar(SIDECAR_IMAGE, `${OLD_NAME},${NEW_WILDCARD}`)
    expect(await fingerprintAt(NEW_NAME)).not.toBe(before)
    await loginPushAndPull(OLD_NAME)
    await loginPushAndPull(NEW_NAME)
  })

  it('continues when the leaf is renewed', async () => {
    const before = await fingerprintAt(OLD_NAME)
    const renewed = JSON.parse(await registrySidecar('cert', 'renew', '--json')) as Renewed
    expect(renewed.leaf.fingerprint).not.toBe(before)
    const isServed = async () => (await fingerprintAt(OLD_NAME)) === renewed.leaf.fingerprint
    await until(isServed, { deadlineMs: 15_000, what: 'the renewed leaf' })
    await loginPushAndPull(OLD_NAME)
  })

  it('continues when the root is renewed, with the former root and with the new one', async () => {
    const renewed = JSON.parse(await registrySidecar('cert', 'renew', '--root', '--json')) as Renewed
    const isServed = async () => (await fingerprintAt(OLD_NAME)) === renewed.leaf.fingerprint
    await until(isServed, { deadlineMs: 15_000, what: 'the leaf under the new root' })
    await loginPushAndPull(OLD_NAME)
    // Under its other name the registry is new to the engine, as to a new client.
    const newRoot = await registrySidecar('trust', '--pem')
    expect(new X509Certificate(newRoot).fingerprint256).toBe(renewed.root.fingerprint)
    trustRoot(registryOf(NEW_NAME), newRoot)
    await loginPushAndPull(NEW_NAME)
  })

  it('continues after a restart with the same state', async () => {
    const before = await fingerprintAt(OLD_NAME)
    await docker(['restart', '-t', '10', ID])
    await untilReady()
    expect(await fingerprintAt(OLD_NAME)).toBe(before)
    await loginPushAndPull(OLD_NAME)
  })

  it('continues after an upgrade of the image', async () => {
    const context = path.join(folder, 'upgrade')
    mkdirSync(context)
    writeFileSync(path.join(context, 'Dockerfile'), `FROM ${SIDECAR_IMAGE}\nLABEL upgraded=${ID}\n`)
    await docker(['build', '-t', UPGRADED_IMAGE, context])
    const before = await fingerprintAt(OLD_NAME)
    await runSidecar(UPGRADED_IMAGE, `${OLD_NAME},${NEW_WILDCARD}`)
    expect((await docker(['inspect', '-f', '{{.Config.Labels.upgraded}}', ID])).stdout.trim()).toBe(ID)
    expect(await fingerprintAt(OLD_NAME)).toBe(before)
    await loginPushAndPull(OLD_NAME)
    await loginPushAndPull(NEW_NAME)
  })
})

interface Renewed {
  readonly leaf: { readonly fingerprint: string }
  readonly root: { readonly fingerprint: string }
}
