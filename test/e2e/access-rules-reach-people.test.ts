// Pushes, pulls, mounts and is refused with docker, podman and skopeo.

import { execFile } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loginOf, usersFileOf } from '../fixtures/access-scene.ts'
import { buildRandomImage, trustFolder, trustRoot } from '../fixtures/docker-client.ts'
import { docker, hasEngine, isRoot } from '../fixtures/engine.ts'
import { findProgram } from '../fixtures/find-program.ts'
import { manifestDigest, writeImage } from '../fixtures/oci-layout.ts'
import { registryProgram, startRegistry, type Registry } from '../fixtures/registry.ts'
import { startSidecar, type TestSidecar } from '../fixtures/sidecar.ts'
import { makeTempFolder, removeFolder } from '../fixtures/temp-folder.ts'

const run = promisify(execFile)
const skopeo = findProgram('skopeo') ?? ''
const podman = findProgram('podman') ?? ''

const USERS = ['pusher', 'puller', 'builder', 'stranger'] as const
type User = (typeof USERS)[number]

const RULES = `rules:
  - {who: pusher, repositories: ["team/**"], allow: [push]}
  - {who: puller, repositories: ["team/**"], allow: [pull]}
  - {who: builder, repositories: ["team/**"], allow: [pull, push, delete]}
  - {who: stranger, repositories: ["own/**"], allow: [pull, push]}
immutable:
  - {repositories: ["team/**"], tags: ["v*"]}
`

const MOUNTED = 201
const NOT_MOUNTED = 202

let registry: Registry
let sidecar: TestSidecar
let folder: string

async function startScene(env: Readonly<Record<string, string>> = {}): Promise<void> {
  registry = await startRegistry()
  folder = makeTempFolder()
  writeFileSync(path.join(folder, 'access.yaml'), RULES)
  sidecar = await startSidecar({
    upstreamPort: registry.port,
    users: usersFileOf(USERS),
    env: { SIDECAR_ACCESS: path.join(folder, 'access.yaml'), ...env },
  })
}

async function stopScene(): Promise<void> {
  await sidecar.stop()
  await registry.stop()
  removeFolder(folder)
}

/** The statuses of this user's mounts and other new uploads since the last call. */
function newUploadsOf(user: User): () => readonly unknown[] {
  let seen = sidecar.lines.length
  return () => {
    const lines = sidecar.lines.slice(seen)
    seen = sidecar.lines.length
    return lines
      .filter((line) => line['user'] === user && line['method'] === 'POST')
      .map(({ status }) => status)
  }
}

describe.skipIf(registryProgram === undefined || skopeo === '')('skopeo', { timeout: 60_000 }, () => {
  beforeAll(() => startScene())
  afterAll(stopScene)

  const layout = (name: string): string => {
    writeImage(path.join(folder, name), 100_000)
    return `oci:${path.join(folder, name)}:latest`
  }
  const remote = (image: string) => `docker://localhost:${sidecar.port}/${image}`
  const certs = () => path.join(sidecar.folder, 'state', 'trust')
  const push = (user: User, source: string, image: string) =>
    run(skopeo, ['copy', '--dest-cert-dir', certs(), '--dest-creds', loginOf(user), source, remote(image)])
  const pull = (user: User, image: string, target: string) =>
    run(skopeo, [
      ...['copy', '--src-cert-dir', certs(), '--src-creds', loginOf(user), remote(image)],
      `oci:${path.join(folder, target)}:latest`,
    ])
  const remove = (user: User, image: string) =>
    run(skopeo, ['delete', '--cert-dir', certs(), '--creds', loginOf(user), remote(image)])

  it('pushes with a push-only user, who may not pull', async () => {
    await push('pusher', layout('one'), 'team/app:1')
    await expect(pull('pusher', 'team/app:1', 'back')).rejects.toThrow(
      /denied: pusher may not pull team\/app/,
    )
  })

  it('pulls with a pull-only user, who may not push', async () => {
    await pull('puller', 'team/app:1', 'pulled')
    expect(manifestDigest(path.join(folder, 'pulled'))).toBe(manifestDigest(path.join(folder, 'one')))
    await expect(push('puller', layout('two'), 'team/app:1')).rejects.toThrow(
      /denied: puller may not push to team\/app/,
    )
  })

  it('is refused in the same words where there is no repository', async () => {
    await expect(pull('stranger', 'team/nowhere:1', 'x')).rejects.toThrow(
      /denied: stranger may not pull team\/nowhere/,
    )
  })

  it('pushes an immutable tag once, again with the same content, and never with another', async () => {
    const [one, two] = [layout('first'), layout('second')]
    await push('builder', one, 'team/app:v1')
    await push('builder', one, 'team/app:v1')
    await expect(push('builder', two, 'team/app:v1')).rejects.toThrow(/denied: tag v1 is immutable/)
    await pull('builder', 'team/app:v1', 'kept')
    expect(manifestDigest(path.join(folder, 'kept'))).toBe(manifestDigest(path.join(folder, 'first')))
  })

  it('deletes no immutable tag, but others', async () => {
    await expect(remove('builder', 'team/app:v1')).rejects.toThrow(
      /tag v1 is immutable and needs this manifest/,
    )
    await expect(remove('pusher', 'team/app:1')).rejects.toThrow(/pusher may not/)
    await remove('builder', 'team/app:1')
    await expect(pull('builder', 'team/app:1', 'gone')).rejects.toThrow(/manifest unknown/)
  })

  it('wins once when two push a new immutable tag at the same moment', async () => {
    const sources = [layout('left'), layout('right')]
    const outcomes = await Promise.allSettled(sources.map((source) => push('builder', source, 'team/app:v2')))
    const won = outcomes.findIndex(({ status }) => status === 'fulfilled')
    const [lost] = outcomes.filter((outcome) => outcome.status === 'rejected')
    expect(String(lost?.reason)).toMatch(/denied: tag v2 is immutable/)
    await pull('builder', 'team/app:v2', 'winner')
    const winner = ['left', 'right'][won] ?? ''
    expect(manifestDigest(path.join(folder, 'winner'))).toBe(manifestDigest(path.join(folder, winner)))
  })
})

describe.skipIf(registryProgram === undefined || podman === '')('podman', { timeout: 120_000 }, () => {
  beforeAll(() => startScene())
  afterAll(stopScene)

  const call = (...args: readonly string[]) => {
    const storage = ['--root', path.join(folder, 'root'), '--runroot', path.join(folder, 'run')]
    return run(podman, [...storage, '--storage-driver', 'vfs', ...args], { cwd: folder })
  }
  const as = (user: User) => [
    ...['--cert-dir', path.join(sidecar.folder, 'state', 'trust')],
    ...['--creds', loginOf(user)],
  ]
  const remote = (image: string) => `localhost:${sidecar.port}/${image}`

  it('pushes, pulls and is refused as the rules say, and shows the message', async () => {
    writeImage(path.join(folder, 'image'), 100_000)
    await call('pull', 'oci:image:latest')
    const id = (await call('images', '-q', '--no-trunc')).stdout.trim().split('\n')[0] ?? ''
    await call('push', ...as('pusher'), id, remote('team/app:v1'))
    await expect(call('push', ...as('puller'), id, remote('team/app:2'))).rejects.toThrow(
      /denied: puller may not push to team\/app/,
    )
    await expect(call('pull', ...as('pusher'), remote('team/app:v1'))).rejects.toThrow(
      /denied: pusher may not pull team\/app/,
    )
    await call('rmi', '-f', id)
    await call('pull', ...as('puller'), remote('team/app:v1'))

    writeImage(path.join(folder, 'other'), 100_000)
    await call('pull', 'oci:other:latest')
    const ids = (await call('images', '-q', '--no-trunc')).stdout.trim().split('\n')
    const other = ids.find((one) => one !== id) ?? ''
    await expect(call('push', ...as('builder'), other, remote('team/app:v1'))).rejects.toThrow(
      /denied: tag v1 is immutable/,
    )
  })
})

const canRunDocker = registryProgram !== undefined && hasEngine() && isRoot()

// Needs root, because trusted roots are files below /etc.
describe.skipIf(!canRunDocker)('docker', { timeout: 120_000 }, () => {
  let host = ''
  const images: string[] = []

  beforeAll(async () => {
    const subnet = '{{(index .IPAM.Config 0).Subnet}}'
    const { stdout } = await docker(['network', 'inspect', '-f', subnet, 'bridge'])
    // The engine verifies no certificate on the loopback.
    const address = stdout.trim().replace(/\.0\/\d+$/, '.1')
    await startScene({ SIDECAR_LISTEN: `${address}:0`, SIDECAR_HOSTS: address })
    host = `${address}:${sidecar.port}`
    trustRoot(host, sidecar.root.pem)
    for (const user of USERS) {
      const auth = Buffer.from(loginOf(user)).toString('base64')
      mkdirSync(path.join(folder, user))
      writeFileSync(path.join(folder, user, 'config.json'), JSON.stringify({ auths: { [host]: { auth } } }))
    }
  })
  afterAll(async () => {
    await docker(['image', 'rm', '-f', ...images]).catch(() => undefined)
    removeFolder(trustFolder(host))
    await stopScene()
  })

  const as = (user: User, ...args: readonly string[]) =>
    docker(args, { env: { DOCKER_CONFIG: path.join(folder, user) } })
  const named = (image: string): string => {
    images.push(`${host}/${image}`)
    return `${host}/${image}`
  }

  it('pushes and pulls as the rules say, and shows what is missing', async () => {
    const image = named('team/app:1')
    await buildRandomImage(image, 100_000)
    await expect(as('puller', 'push', image)).rejects.toThrow(/denied: puller may not push to team\/app/)
    await as('pusher', 'push', image)
    await docker(['image', 'rm', image])
    await expect(as('pusher', 'pull', image)).rejects.toThrow(/denied: pusher may not pull team\/app/)
    await as('puller', 'pull', image)
  })

  it('stays logged in after a refusal', async () => {
    await expect(as('stranger', 'pull', `${host}/team/app:1`)).rejects.toThrow(/stranger may not pull/)
    await as('stranger', 'login', host)
  })

  it('mounts a layer with the right to pull it, and uploads it without the right', async () => {
    const [from, to, own] = [named('team/app:1'), named('team/copy:1'), named('own/copy:1')]
    const ofBuilder = newUploadsOf('builder')
    await docker(['tag', from, to])
    await as('builder', 'push', to)
    expect(ofBuilder()).toContain(MOUNTED)

    const ofStranger = newUploadsOf('stranger')
    await docker(['tag', from, own])
    await as('stranger', 'push', own)
    const uploads = ofStranger()
    expect(uploads).toContain(NOT_MOUNTED)
    expect(uploads).not.toContain(MOUNTED)
    await as('stranger', 'pull', own)
  })

  it('pushes an immutable tag once', async () => {
    const one = named('team/app:v1')
    await buildRandomImage(one, 100_000)
    await as('builder', 'push', one)
    await as('builder', 'push', one)
    await buildRandomImage(one, 100_000)
    await expect(as('builder', 'push', one)).rejects.toThrow(/denied: tag v1 is immutable/)
  })
})
