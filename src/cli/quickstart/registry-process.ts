// Runs a registry binary as a child process of the sidecar.

import { spawn, type ChildProcess } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdir, open, readFile, writeFile } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import { CommandError, errorCode, errorMessage } from '../../errors/errors.ts'
import type { TcpAddress } from '../../upstream/connect/registry-address.ts'
import type { World } from '../../app/world.ts'

export interface RegistryProcess {
  readonly address: TcpAddress
  readonly logFile: string
  readonly ended: AbortSignal
  stop(): Promise<void>
}

export interface RegistryProcessOptions {
  /** The folder for images, settings and log; created if missing. */
  readonly folder: string
  readonly env: World['env']
}

const STOP_TIMEOUT_MS = 10_000

// The registry gets its own process group, so that Ctrl-C does not stop it while the sidecar finishes transfers.
// If the sidecar is killed, its end of the pipe closes and `read` ends. Then the subshell stops the registry: `exec` gave
// the registry the process id `$$` of the shell.
const WATCHED_START =
  'exec 3<&0; (while read -r _ <&3; do :; done; kill $$ 2>/dev/null) & exec "$@" 3<&- </dev/null'

/** The registry may not answer yet. Rejects with a CommandError. */
export async function startRegistryProcess(
  binary: string,
  { folder, env }: RegistryProcessOptions,
): Promise<RegistryProcess> {
  const logFile = join(folder, 'registry.log')
  const configFile = join(folder, 'registry.yml')
  const port = await freePort()
  try {
    await mkdir(folder, { recursive: true })
    const settings = registrySettings({ folder, port, secret: await keepSecret(join(folder, 'http-secret')) })
    await writeFile(configFile, JSON.stringify(settings, null, 2), { mode: 0o600 })
  } catch (error) {
    throw new CommandError(`the registry cannot store its data in ${folder}: ${errorMessage(error)}`, {
      cause: error,
    })
  }
  const { child, ended } = await spawnLogged([binary, 'serve', configFile], { env, logFile })
  return { address: { hostname: '127.0.0.1', port }, logFile, ended, stop: () => stop(child, ended) }
}

/** The registry reads YAML, and JSON is valid YAML. */
function registrySettings({ folder, port, secret }: { folder: string; port: number; secret: string }) {
  return {
    version: '0.1',
    log: { level: 'warn', accesslog: { disabled: true } },
    storage: {
      filesystem: { rootdirectory: folder },
      delete: { enabled: true },
      cache: { blobdescriptor: 'inmemory' },
    },
    http: { addr: `127.0.0.1:${port}`, secret },
  }
}

// The registry signs the state of uploads with the secret, so a new secret would break uploads after a restart.
async function keepSecret(file: string): Promise<string> {
  const secret = randomBytes(32).toString('hex')
  try {
    await writeFile(file, secret, { mode: 0o600, flag: 'wx' })
    return secret
  } catch (error) {
    if (errorCode(error) !== 'EEXIST') throw error
    return await readFile(file, 'utf8')
  }
}

interface Spawned {
  readonly child: ChildProcess
  readonly ended: AbortSignal
}

interface LoggedProgram {
  readonly env: World['env']
  readonly logFile: string
}

async function spawnLogged(command: readonly string[], { env, logFile }: LoggedProgram): Promise<Spawned> {
  const log = await open(logFile, 'a')
  try {
    const child = spawn('/bin/sh', ['-c', WATCHED_START, 'sh', ...command], {
      stdio: ['pipe', log.fd, log.fd],
      detached: true,
      env: withoutRegistryVariables(env),
    })
    // Created before the first await, because a registry that exits at once may close during that await.
    const ended = endOf(child)
    await once(child, 'spawn')
    return { child, ended }
  } catch (error) {
    throw new CommandError(`the registry cannot be started: ${errorMessage(error)}`, { cause: error })
  } finally {
    await log.close()
  }
}

function endOf(child: ChildProcess): AbortSignal {
  const ending = new AbortController()
  // A signal to a process that has ended fails; the 'close' event follows anyway.
  child.on('error', () => undefined)
  child.once('close', () => {
    ending.abort()
  })
  return ending.signal
}

// REGISTRY_ variables would override these settings, and may be meant for another registry.
function withoutRegistryVariables(env: World['env']): World['env'] {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !name.startsWith('REGISTRY_')))
}

async function stop(child: ChildProcess, ended: AbortSignal): Promise<void> {
  if (ended.aborted) return
  const closed = once(child, 'close')
  child.kill('SIGTERM')
  const lastResort = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS)
  await closed
  clearTimeout(lastResort)
}

export async function isTaken({ hostname, port }: TcpAddress): Promise<boolean> {
  try {
    const server = createServer().listen(port, hostname)
    await once(server, 'listening')
    server.close()
    return false
  } catch (error) {
    return errorCode(error) === 'EADDRINUSE'
  }
}

// Another program can take the port before the registry does.
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}
