// Docker Swarm runs docker/stack.yaml: push, pull, rotated users, rolling update under load.

import { execFile } from 'node:child_process'
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { promisify } from 'node:util'
import bcrypt from 'bcryptjs'
import { parse, stringify } from 'yaml'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { docker, hasEngine } from '../fixtures/engine.ts'
import { findProgram } from '../fixtures/find-program.ts'
import { manifestDigest, writeImage } from '../fixtures/oci-layout.ts'
import { buildSidecarImage, copyProject, SIDECAR_IMAGE } from '../fixtures/sidecar-image.ts'
import { startSidecar } from '../fixtures/sidecar.ts'
import { makeTempFolder, removeFolder } from '../fixtures/temp-folder.ts'
import { until } from '../fixtures/until.ts'

const run = promisify(execFile)
const skopeo = findProgram('skopeo') ?? ''
const [STACK, PORT] = ['sidecar-e2e', 18_445]
const HOST = `docker://localhost:${PORT}`

// Connects clients to the tasks of the sidecar, as the routing mesh does. Kernels without IPVS have no mesh.
const RELAY = `
  const { createServer, connect } = require('node:net')
  const { resolve4 } = require('node:dns').promises
  createServer(async (client) => {
    client.on('error', () => client.destroy())
    const [address] = await resolve4('tasks.sidecar').catch(() => [])
    if (address === undefined) return client.destroy()
    const task = connect(8443, address)
    task.on('error', () => client.destroy())
    client.on('close', () => task.destroy())
    client.pipe(task).pipe(client)
  }).listen(8443)`

interface Stack {
  readonly services: Readonly<Record<string, Readonly<Record<string, unknown>>>>
}

describe.skipIf(skopeo === '' || !hasEngine())('docker/stack.yaml', { timeout: 300_000 }, () => {
  let folder: string
  let certs: string
  let isOwnSwarm = false

  beforeAll(async () => {
    folder = makeTempFolder()
    copyProject(path.join(folder, 'project'))
    await buildSidecarImage(path.join(folder, 'project'))
    isOwnSwarm = await openSwarm()
    certs = await writeFiles()
    await deploy('1')
  }, 300_000)
  afterAll(async () => {
    await docker(['stack', 'rm', STACK])
    if (isOwnSwarm) await docker(['swarm', 'leave', '--force'])
    removeFolder(folder)
  }, 120_000)

  it('pushes and pulls', async () => {
    const source = path.join(folder, 'image')
    writeImage(source)
    await push('ann:first', 'team/app:1')
    await pull('ann:first', 'team/app:1')
    expect(manifestDigest(path.join(folder, 'back'))).toBe(manifestDigest(source))
  })

  it('removes a user with the next version of the secret', async () => {
    writeUsers('2', 'ben:second')
    await deploy('2')
    await push('ben:second', 'team/app:2')
    await expect(push('ann:first', 'team/app:2')).rejects.toThrow(/unauthorized|authentication required/)
  })

  it('loses no push and no pull while it replaces both sidecars', async () => {
    const before = await taskIds()
    const updating = docker(['service', 'update', '--force', '--quiet', `${STACK}_sidecar`])
    const state = { isUpdating: true, copies: 0 }
    const ended = updating.finally(() => (state.isUpdating = false))
    const load = async (image: string, copy: (login: string, image: string) => Promise<unknown>) => {
      while (state.isUpdating) {
        await copy('ben:second', image)
        state.copies += 1
      }
    }
    // Two repositories, because registry 2.8 fails a pull while the links of the same repository are written.
    await Promise.all([ended, load('team/load:1', push), load('team/app:2', pull)])
    expect(state.copies).toBeGreaterThan(4)
    const after = await taskIds()
    expect(after.filter((id) => before.includes(id))).toEqual([])
    expect(after).toHaveLength(2)
  })

  const push = (login: string, image: string) => {
    const source = `oci:${path.join(folder, 'image')}:latest`
    return run(skopeo, ['copy', '--dest-cert-dir', certs, '--dest-creds', login, source, `${HOST}/${image}`])
  }

  const pull = (login: string, image: string) => {
    const target = `oci:${path.join(folder, 'back')}:latest`
    return run(skopeo, ['copy', '--src-cert-dir', certs, '--src-creds', login, `${HOST}/${image}`, target])
  }

  function writeUsers(version: string, login: string): void {
    const [name = '', password = ''] = login.split(':')
    const line = `${name}:${bcrypt.hashSync(password, 4)}\n`
    writeFileSync(path.join(folder, 'docker', `htpasswd-${version}`), line)
  }

  /** Returns the folder with the root, for skopeo. */
  async function writeFiles(): Promise<string> {
    const home = path.join(folder, 'home')
    mkdirSync(home)
    cpSync(path.join(folder, 'project', 'docker'), path.join(folder, 'docker'), { recursive: true })
    const sidecar = await startSidecar()
    for (const name of ['root.crt', 'root.key', 'token.key'])
      cpSync(path.join(sidecar.folder, 'state', name), path.join(home, name))
    await sidecar.stop()
    writeUsers('1', 'ann:first')
    const trusted = path.join(folder, 'certs')
    mkdirSync(trusted)
    cpSync(path.join(home, 'root.crt'), path.join(trusted, 'ca.crt'))
    const file = path.join(folder, 'docker', 'stack.yaml')
    writeFileSync(file, stringify(withRelay(parse(readFileSync(file, 'utf8'), { merge: true }) as Stack)))
    return trusted
  }

  async function deploy(version: string): Promise<void> {
    const env = {
      SIDECAR_IMAGE,
      SIDECAR_HOSTS: 'registry.example.com',
      ROOT_DIR: path.join(folder, 'home'),
      USERS_FILE: `./htpasswd-${version}`,
      USERS_VERSION: version,
    }
    const cwd = path.join(folder, 'docker')
    const flags = ['--resolve-image', 'never', '--prune']
    await docker(['stack', 'deploy', ...flags, '-c', 'stack.yaml', STACK], { cwd, env })
    await until(isDeployed, { deadlineMs: 120_000, what: 'two sidecars run and the update is completed' })
  }
})

async function isDeployed(): Promise<boolean> {
  const format = '{{if .UpdateStatus}}{{.UpdateStatus.State}}{{else}}completed{{end}}'
  const { stdout } = await docker(['service', 'inspect', '--format', format, `${STACK}_sidecar`])
  const replicas = await docker(['service', 'ls', '--format', '{{.Name}} {{.Replicas}}'])
  return (
    stdout.trim() === 'completed' &&
    [`${STACK}_sidecar 2/2`, `${STACK}_registry 1/1`, `${STACK}_entry 1/1`].every((line) =>
      replicas.stdout.includes(line),
    )
  )
}

async function taskIds(): Promise<readonly string[]> {
  const filter = ['--filter', 'desired-state=running']
  const { stdout } = await docker(['service', 'ps', '-q', '--no-trunc', ...filter, `${STACK}_sidecar`])
  return stdout.trim().split('\n')
}

/** False if the engine is part of a swarm already. */
async function openSwarm(): Promise<boolean> {
  const { stdout } = await docker(['info', '--format', '{{.Swarm.LocalNodeState}}'])
  if (stdout.trim() === 'active') return false
  await docker(['swarm', 'init', '--advertise-addr', '127.0.0.1'])
  return true
}

function withRelay({ services, ...rest }: Stack): unknown {
  const sidecar = { ...services['sidecar'], ports: [] }
  const entry = {
    image: SIDECAR_IMAGE,
    entrypoint: ['node', '-e', RELAY],
    healthcheck: { disable: true },
    networks: ['clients'],
    ports: [{ target: 8443, published: PORT, mode: 'host' }],
  }
  const dnsrr = { ...(services['sidecar']?.['deploy'] as object), endpoint_mode: 'dnsrr' }
  return { ...rest, services: { ...services, sidecar: { ...sidecar, deploy: dnsrr }, entry } }
}
