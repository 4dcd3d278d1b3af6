// Runs the image registry:2 in Docker, on a port of 127.0.0.1.

import { createHash } from 'node:crypto'
import { resolve } from 'node:path'
import { CommandError } from '../../errors/errors.ts'
import type { TcpAddress } from '../../upstream/connect/registry-address.ts'
import { runProgram, type ProgramResult } from './run-program.ts'
import type { World } from '../../app/world.ts'

export interface RegistryContainer {
  readonly name: string
  readonly address: TcpAddress
  /** False for a container from an earlier start, which may still be in use. */
  readonly isNew: boolean
  stop(): Promise<void>
}

export interface ContainerOptions {
  readonly env: World['env']
  readonly signal: AbortSignal
}

const IMAGE = 'registry:2'
const ENGINE_TIMEOUT_MS = 5_000
const PULL_TIMEOUT_MS = 300_000
const STOP_TIMEOUT_MS = 20_000

export async function hasDockerEngine({ env, signal }: ContainerOptions): Promise<boolean> {
  const command = ['docker', 'info', '--format', '{{.ServerVersion}}'] as const
  const info = await runProgram(command, { env, signal, timeoutMs: ENGINE_TIMEOUT_MS })
  return info.ok && info.stdout.trim() !== ''
}

/** Uses the container of an earlier start in this folder, if it runs. The registry may not answer yet. */
export async function startRegistryContainer({ env, signal }: ContainerOptions): Promise<RegistryContainer> {
  const name = nameFor(resolve('.'))
  const earlierPort = await publishedPort(name, env)
  if (earlierPort !== undefined)
    return { name, address: onLoopback(earlierPort), isNew: false, stop: () => Promise.resolve() }
  const started = await runProgram(runCommand(name), { env, signal, timeoutMs: PULL_TIMEOUT_MS })
  const port = started.ok ? await publishedPort(name, env) : undefined
  if (port === undefined) {
    // After a failed start, a running container of this name is not ours, and `rm` without -f keeps it.
    const force = started.ok ? ['-f'] : []
    await runProgram(['docker', 'rm', ...force, name], { env, timeoutMs: STOP_TIMEOUT_MS })
    throw new CommandError(`Docker cannot run ${IMAGE}: ${reasonOf(started)}`)
  }
  return { name, address: onLoopback(port), isNew: true, stop: () => stopContainer(name, env) }
}

// Docker picks the port, so no other program can take it first.
function runCommand(name: string): readonly [string, ...string[]] {
  const publish = ['-p', '127.0.0.1::5000']
  const settings = ['-e', 'REGISTRY_STORAGE_DELETE_ENABLED=true']
  return [
    'docker',
    'run',
    '-d',
    '--rm',
    '--name',
    name,
    ...publish,
    ...settings,
    '-v',
    `${name}:/var/lib/registry`,
    IMAGE,
  ]
}

// One name per folder, so that the next start in this folder finds its images again.
function nameFor(folder: string): string {
  return `registry-sidecar-${createHash('sha256').update(folder).digest('hex').slice(0, 8)}`
}

async function publishedPort(name: string, env: World['env']): Promise<number | undefined> {
  const answer = await runProgram(['docker', 'port', name, '5000/tcp'], { env, timeoutMs: ENGINE_TIMEOUT_MS })
  const port = answer.ok ? /^127\.0\.0\.1:(\d+)$/m.exec(answer.stdout)?.[1] : undefined
  return port === undefined ? undefined : Number(port)
}

async function stopContainer(name: string, env: World['env']): Promise<void> {
  const stopped = await runProgram(['docker', 'stop', name], { env, timeoutMs: STOP_TIMEOUT_MS })
  if (!stopped.ok) throw new CommandError(`the container ${name} is still running: ${stopped.reason}`)
}

function onLoopback(port: number): TcpAddress {
  return { hostname: '127.0.0.1', port }
}

function reasonOf(result: ProgramResult): string {
  return result.ok ? 'it has no port on 127.0.0.1' : result.reason
}
