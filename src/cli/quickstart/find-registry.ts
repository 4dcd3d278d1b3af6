// Finds a running registry for quickstart, or starts one.

import { join, resolve } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { CommandError } from '../../errors/errors.ts'
import { existsFile } from '../../files/regular-file.ts'
import { probeRegistry } from '../../upstream/probe/probe.ts'
import {
  addressText,
  type RegistryAddress,
  type TcpAddress,
} from '../../upstream/connect/registry-address.ts'
import type { Machine } from '../this-machine.ts'
import { hasDockerEngine, startRegistryContainer } from './registry-container.ts'
import { isTaken, startRegistryProcess } from './registry-process.ts'
import { findOnPath, runProgram, type ProgramResult } from './run-program.ts'
import type { World } from '../../app/world.ts'

export interface FoundRegistry {
  readonly address: RegistryAddress
  /** A text for people: the registry, and where its images are. */
  readonly description: string
  /** Aborts when the started registry has ended. Absent if quickstart did not start it. */
  readonly ended?: AbortSignal
  /** Stops the registry if quickstart started it. */
  stop(): Promise<void>
}

export interface Search {
  readonly env: World['env']
  readonly machine: Machine
  readonly signal: AbortSignal
  readonly say: (line: string) => void
}

const USUAL_ADDRESS: TcpAddress = { hostname: '127.0.0.1', port: 5000 }
const ANSWER_TIMEOUT_MS = 15_000
const ANSWER_POLL_MS = 100
const PORT_ATTEMPTS = 3
const PACKAGE_TIMEOUT_MS = 300_000
const PACKAGE = 'docker-registry'

/** Rejects with a CommandError if the registry does not answer. */
export function useRegistry(address: RegistryAddress): (search: Search) => Promise<FoundRegistry> {
  const description = `the registry of your settings, ${addressText(address)}`
  return (search) => answering({ address, description, stop: () => Promise.resolve() }, search)
}

/** Tries each way in turn. Rejects with a CommandError if all ways fail. */
export async function findRegistry(search: Search): Promise<FoundRegistry> {
  const ways = [usualRegistry, dockerEngine, programOnPath('registry'), programOnPath(PACKAGE), debianPackage]
  for (const tryWay of ways) {
    try {
      const found = await tryWay(search)
      if (found !== undefined) return found
    } catch (error) {
      search.signal.throwIfAborted()
      if (!(error instanceof CommandError)) throw error
      search.say(`${error.message}. Trying the next option.`)
    }
  }
  throw new CommandError(
    [
      'no registry found or started. Do one of these:',
      '  set SIDECAR_UPSTREAM=http://HOST:PORT to a running registry',
      '  start Docker, so that `docker info` works; quickstart then runs its image registry:2',
      '  put the program `registry` on the PATH: https://github.com/distribution/distribution/releases',
      '  on Debian or Ubuntu, as root: apt-get install docker-registry',
    ].join('\n'),
  )
}

async function usualRegistry({ signal }: Search): Promise<FoundRegistry | undefined> {
  const outcome = await probeRegistry(USUAL_ADDRESS)
  signal.throwIfAborted()
  if (outcome.kind !== 'answers') return undefined
  const description = `the running registry on 127.0.0.1:${USUAL_ADDRESS.port}`
  return { address: USUAL_ADDRESS, description, stop: () => Promise.resolve() }
}

async function dockerEngine(search: Search): Promise<FoundRegistry | undefined> {
  if (!(await hasDockerEngine(search))) return undefined
  search.say('Starting registry:2 with Docker; the first start pulls it, which may take a minute')
  const { name, isNew, ...container } = await startRegistryContainer(search)
  const hint = isNew ? '' : `, still running from an earlier start; \`docker stop ${name}\` stops it`
  return answering(
    { ...container, description: `registry:2 in Docker, images in the volume ${name}${hint}` },
    search,
  )
}

function programOnPath(name: string): (search: Search) => Promise<FoundRegistry | undefined> {
  return async function program(search) {
    const binary = await findOnPath(name, search.env)
    return binary === undefined ? undefined : startProgram(binary, search)
  }
}

async function startProgram(binary: string, search: Search): Promise<FoundRegistry> {
  const folder = resolve('registry-data')
  search.say(`Starting ${binary}`)
  for (let attempt = 1; ; attempt++) {
    const started = await startRegistryProcess(binary, { folder, env: search.env })
    const description = `${binary}, images in ${folder}, log in ${started.logFile}`
    try {
      return await answering({ ...started, description }, search)
    } catch (error) {
      search.signal.throwIfAborted()
      // The registry has ended. If its port is taken, another program was faster.
      if (attempt === PORT_ATTEMPTS || !(await isTaken(started.address))) throw error
    }
  }
}

async function debianPackage(search: Search): Promise<FoundRegistry | undefined> {
  if (!(await canInstall(search))) return undefined
  search.say(`Installing the Debian package ${PACKAGE} with apt-get, as root`)
  const env = { ...search.env, DEBIAN_FRONTEND: 'noninteractive' }
  const options = { env, signal: search.signal, timeoutMs: PACKAGE_TIMEOUT_MS }
  const install = (): Promise<ProgramResult> =>
    runProgram(['apt-get', 'install', '-y', '--no-install-recommends', PACKAGE], options)
  let result = await install()
  if (!result.ok) {
    // On a fresh machine the package lists are missing or too old.
    await runProgram(['apt-get', 'update'], options)
    result = await install()
  }
  if (!result.ok) throw new CommandError(`${PACKAGE} cannot be installed: ${result.reason}`)
  // Debian may have started the service of the package already.
  return (await usualRegistry(search)) ?? programOnPath(PACKAGE)(search)
}

async function canInstall({ machine, env }: Search): Promise<boolean> {
  if (!machine.isRoot || !(await isDebian(machine))) return false
  // An installed package has already been tried.
  return (await findOnPath(PACKAGE, env)) === undefined && (await findOnPath('apt-get', env)) !== undefined
}

function isDebian({ etc }: Machine): Promise<boolean> {
  return existsFile(join(etc, 'debian_version'))
}

async function answering(found: FoundRegistry, { signal }: Search): Promise<FoundRegistry> {
  try {
    await waitForAnswer(found, signal)
    return found
  } catch (error) {
    await found.stop()
    throw error
  }
}

async function waitForAnswer(
  { address, description, ended }: FoundRegistry,
  signal: AbortSignal,
): Promise<void> {
  const deadline = AbortSignal.timeout(ANSWER_TIMEOUT_MS)
  for (;;) {
    const outcome = await probeRegistry(address)
    signal.throwIfAborted()
    if (outcome.kind === 'answers') return
    if (ended?.aborted) throw new CommandError(`${description}: it exited at once`)
    const isHopeless = outcome.kind === 'unexpected' || deadline.aborted
    if (isHopeless) throw new CommandError(`${description}: ${outcome.reason}`)
    await delay(ANSWER_POLL_MS)
  }
}
