// Uses client.cert and client.key in certs.d with docker and skopeo.

import { execFile, execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createClientAuthority, type ClientPair } from '../fixtures/client-authority.ts'
import { imageId, trustFolder, trustRoot } from '../fixtures/docker-client.ts'
import { bridgeAddress, docker, hasEngine, isRoot } from '../fixtures/engine.ts'
import { findProgram } from '../fixtures/find-program.ts'
import { registryProgram, startRegistry, type Registry } from '../fixtures/registry.ts'
import { startSidecar, type TestSidecar } from '../fixtures/sidecar.ts'
import { makeTempFolder, removeFolder } from '../fixtures/temp-folder.ts'

const skopeo = findProgram('skopeo')
const authority = createClientAuthority()
const canRun = hasEngine() && isRoot() && registryProgram !== undefined && skopeo !== undefined

// Needs root, because trusted roots are files below /etc.
describe.skipIf(!canRun)('a client certificate instead of a password', { timeout: 60_000 }, () => {
  const folder = makeTempFolder()
  let registry: Registry | undefined
  let sidecar: TestSidecar | undefined
  let certs = ''
  let image = ''

  // An empty docker configuration, so that no stored login is used.
  const client = (...args: readonly string[]) => docker(args, { env: { DOCKER_CONFIG: folder } })
  const inspect = () =>
    promisify(execFile)(skopeo ?? '', ['inspect', '--no-creds', '--cert-dir', certs, `docker://${image}`])

  beforeAll(async () => {
    // An address outside the loopback, where the engine verifies certificates.
    const address = await bridgeAddress()
    registry = await startRegistry()
    const caFile = path.join(folder, 'client-ca.pem')
    writeFileSync(caFile, authority.cert)
    sidecar = await startSidecar({
      upstreamPort: registry.port,
      env: {
        SIDECAR_LISTEN: `${address}:0`,
        SIDECAR_HOSTS: address,
        SIDECAR_TLS_CLIENT_CA: caFile,
        SIDECAR_TLS_CLIENT_AUTH: 'instead',
      },
    })
    const host = `${address}:${sidecar.port}`
    certs = trustFolder(host)
    image = `${host}/team/certified:1`
    trustRoot(host, sidecar.root.pem)
    writeFileSync(path.join(folder, 'layer.bin'), randomBytes(100_000))
    execFileSync('tar', ['-cf', 'image.tar', 'layer.bin'], { cwd: folder })
    await client('import', path.join(folder, 'image.tar'), image)
  })
  afterAll(async () => {
    await client('image', 'rm', '-f', image).catch(() => undefined)
    removeFolder(certs)
    await sidecar?.stop()
    await registry?.stop()
    removeFolder(folder)
  })

  it('is demanded with a sentence that people see', async () => {
    await expect(client('push', image)).rejects.toThrow(
      /demands a client certificate and got none: put client\.cert/,
    )
    // skopeo prints only the status.
    await expect(inspect()).rejects.toThrow(/403/)
  })

  it('of another CA is refused', async () => {
    put(createClientAuthority().issue({ subject: 'alice' }))
    // Go does not send it.
    await expect(client('push', image)).rejects.toThrow(
      /demands a client certificate.* authority that this registry accepts has signed/,
    )
    expect(await registryCatalog()).toEqual({ repositories: [] })
  })

  it('lets docker push and pull as the user that it names', async () => {
    put(authority.issue({ subject: 'alice' }))
    const pushed = await imageId(image)
    await client('push', image)
    await client('image', 'rm', image)
    await client('pull', image)
    expect(await imageId(image)).toBe(pushed)
    const last = sidecar?.lines.filter(({ msg }) => msg === 'request').at(-1)
    expect(last).toMatchObject({ user: 'alice', clientCertificate: 'alice' })
  })

  it('works with skopeo', async () => {
    expect(JSON.parse((await inspect()).stdout)).toMatchObject({ RepoTags: ['1'] })
  })

  it('of an unknown user is refused', async () => {
    put(authority.issue({ subject: 'mallory' }))
    await expect(inspect()).rejects.toThrow(/403/)
    await expect(client('pull', image)).rejects.toThrow(/no user of this registry/)
  })

  function put({ cert, key }: ClientPair): void {
    writeFileSync(path.join(certs, 'client.cert'), cert)
    writeFileSync(path.join(certs, 'client.key'), key, { mode: 0o600 })
  }

  async function registryCatalog(): Promise<unknown> {
    return (await fetch(`http://127.0.0.1:${registry?.port ?? 0}/v2/_catalog`)).json()
  }
})
