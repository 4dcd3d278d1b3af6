// Runs docker/compose.unix.yaml with a real Docker Engine.

import { chmodSync } from 'node:fs'
import net from 'node:net'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { buildRandomImage, imageId, mapName, trustFolder, trustRoot } from '../fixtures/docker-client.ts'
import { compose, docker, hasEngine, isRoot } from '../fixtures/engine.ts'
import { asNobody } from '../fixtures/nobody.ts'
import { buildSidecarImage, copyProject, SIDECAR_IMAGE } from '../fixtures/sidecar-image.ts'
import { makeTempFolder, removeFolder } from '../fixtures/temp-folder.ts'
import { until } from '../fixtures/until.ts'

const PROJECT = `sidecar-unix-e2e-${process.pid}`
const HOST = 'unix-proxy:443'
const IMAGE = `${HOST}/team/hello:1`

describe.skipIf(!hasEngine() || !isRoot())('a registry without a network', { timeout: 300_000 }, () => {
  const clone = makeTempFolder()
  const config = makeTempFolder()
  const folder = path.join(clone, 'docker')
  let unmapName = () => Promise.resolve()
  const containers = { registry: '', sidecar: '' }
  const env = {
    COMPOSE_FILE: 'compose.yaml:compose.unix.yaml',
    SIDECAR_PORT: '0',
    SIDECAR_HOSTS: 'unix-proxy',
    SIDECAR_IMAGE,
    // Not the registry's user, and no user of the image.
    RUN_AS: '1234:1234',
    DOCKER_CONFIG: config,
  }

  const composed = (...args: string[]) => compose(['-p', PROJECT, ...args], { cwd: folder, env })
  const client = (args: string[], input = '') => docker(args, { env, input })
  const inspect = async (container: string, format: string) =>
    (await docker(['inspect', '-f', format, container])).stdout.trim()
  const inSidecar = async (...args: string[]) =>
    (await composed('exec', '-T', '-u', '0', 'sidecar', 'registry-sidecar', ...args)).stdout

  beforeAll(async () => {
    copyProject(clone)
    chmodSync(path.join(folder, 'users'), 0o755)
    await buildSidecarImage(clone)
    await composed('up', '-d')
    for (const service of ['registry', 'sidecar'] as const) {
      containers[service] = (await composed('ps', '-q', service)).stdout.trim()
    }
    const address = `{{(index .NetworkSettings.Networks "${PROJECT}_clients").IPAddress}}`
    unmapName = await mapName('unix-proxy', await inspect(containers.sidecar, address))
  }, 300_000)

  afterAll(async () => {
    await unmapName()
    removeFolder(trustFolder(HOST))
    await client(['image', 'rm', IMAGE]).catch(() => undefined)
    await composed('down', '-v', '-t', '5')
    removeFolder(clone)
    removeFolder(config)
  })

  it('stores a push and serves its pull', async () => {
    const added = JSON.parse(await inSidecar('user', 'add', 'alice', '--generate', '--json')) as {
      password: string
    }
    trustRoot(HOST, await inSidecar('trust', '--pem'))
    await client(['login', HOST, '-u', 'alice', '--password-stdin'], added.password)
    await buildRandomImage(IMAGE)
    const pushed = await imageId(IMAGE)
    await client(['push', IMAGE])
    await client(['image', 'rm', IMAGE])
    await client(['pull', IMAGE])
    expect(await imageId(IMAGE)).toBe(pushed)
  })

  it('is healthy, and check finds no problem', async () => {
    for (const container of Object.values(containers)) {
      const isHealthy = async () => (await inspect(container, '{{.State.Health.Status}}')) === 'healthy'
      await until(isHealthy, { deadlineMs: 60_000, what: 'health' })
    }
    const { stdout } = await composed('exec', '-T', 'sidecar', 'registry-sidecar', 'check')
    expect(stdout).toContain('registry: unix:/run/registry/registry.sock answers')
    expect(stdout).toMatch(/^ok +location: uploads continue at https:\/\/unix-proxy:443\/v2\//m)
  })

  it('has no interface but its own loopback, and listens on no port', async () => {
    expect(await inspect(containers.registry, '{{.HostConfig.NetworkMode}}')).toBe('none')
    const read = async (file: string) => (await docker(['exec', containers.registry, 'cat', file])).stdout
    const interfaces = (await read('/proc/net/dev')).split('\n').slice(2).filter(Boolean)
    expect(interfaces.map((line) => line.trim().split(':')[0])).toEqual(['lo'])
    expect(`${await read('/proc/net/tcp')}${await read('/proc/net/tcp6')}`).not.toMatch(/ 0A /)
  })

  it('is out of reach for other users of the host', async () => {
    const volume = await docker(['volume', 'inspect', '-f', '{{.Mountpoint}}', `${PROJECT}_registry-socket`])
    const socketPath = path.join(volume.stdout.trim(), 'registry.sock')
    const outcome = (): Promise<string> =>
      new Promise((resolve) => {
        const socket = net.connect(socketPath, () => {
          socket.destroy()
          resolve('connected')
        })
        socket.on('error', (error: NodeJS.ErrnoException) => {
          resolve(error.code ?? '')
        })
      })
    expect([await outcome(), await asNobody(outcome)]).toEqual(['connected', 'EACCES'])
  })

  it('is found again after a restart, also after a kill that leaves the socket behind', async () => {
    await docker(['kill', containers.registry])
    await expect(client(['pull', IMAGE])).rejects.toThrow(/502|cannot be reached/)
    await docker(['start', containers.registry])
    const isPulled = () =>
      client(['pull', IMAGE]).then(
        () => true,
        () => false,
      )
    await until(isPulled, { deadlineMs: 30_000, what: 'a pull after the restart' })
    expect(await inspect(containers.sidecar, '{{.RestartCount}}')).toBe('0')
  })
})
