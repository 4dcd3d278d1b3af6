// Finds a registry for a newcomer: one that runs, or a way to run one, from the least trouble to the most.

import { access } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { CommandError } from '../../errors/errors.ts'
import type { UpstreamAddress } from '../../settings/setting-values.ts'
import { probeRegistry } from '../../upstream/probe/probe.ts'
import type { Machine } from '../this-machine.ts'
import { hasDockerEngine, startRegistryContainer } from './registry-container.ts'
import { isTaken, startRegistryProcess } from './registry-process.ts'
import { findOnPath, runProgram, type ProgramResult } from './run-program.ts'
import type { World } from '../../app/world.ts'

export interface FoundRegistry {
  readonly address: UpstreamAddress
  /** What it is and where its images are, for a person. */
  readonly description: string
  /** Aborts when a registry that we started has ended. */
  readonly ended?: AbortSignal
  /** Ends the registry if we started it. */
  stop(): Promise<void>
}

export interface Search {
  readonly env: World['env']
  readonly machine: Machine
  /** Ends the search early. */
  readonly signal: AbortSignal
  /** Tells a person what is being tried. */
  readonly say: (line: string) => void
}

/** Where a registry on this machine listens unless it is told otherwise. */
const USUAL_ADDRESS: UpstreamAddress = { hostname: '127.0.0.1', port: 5000 }
const ANSWER_TIMEOUT_MS = 15_000
const ANSWER_POLL_MS = 100
const PORT_ATTEMPTS = 3
const PACKAGE_TIMEOUT_MS = 300_000
const PACKAGE = 'docker-registry'

/** Waits for the registry that the settings name. Rejects with a CommandError when it does not answer. */
export function useRegistry(address: UpstreamAddress): (search: Search) => Promise<FoundRegistry> {
  const description = `the registry of your settings, http://${address.hostname}:${address.port}`
  return (search) => answering({ address, description, stop: () => Promise.resolve() }, search)
}

/**
 * A registry that answers. What does not work out is said and the next way is tried; rejects with a CommandError that
 * names the ways to get one when none is left.
 */
export async function findRegistry(search: Search): Promise<FoundRegistry> {
  const ways = [usualRegistry, dockerEngine, programOnPath('registry'), programOnPath(PACKAGE), debianPackage]
  for (const tryWay of ways) {
    try {
      const found = await tryWay(search)
      if (found !== undefined) return found
    } catch (error) {
      search.signal.throwIfAborted()
      if (!(error instanceof CommandError)) throw error
      search.say(`${error.message}. Trying the next way.`)
    }
  }
  throw new CommandError(
    [
      'no registry found, and none could be started. Any of these helps:',
      '  set SIDECAR_UPSTREAM=http://HOST:PORT to a registry that runs',
      '  start Docker, so that `docker info` works: its image registry:2 is used then',
      '  put the program `registry` on the PATH: https://github.com/distribution/distribution/releases',
      '  on Debian or Ubuntu, as root: apt-get install docker-registry',
    ].join('\n'),
  )
}

async function usualRegistry({ signal }: Search): Promise<FoundRegistry | undefined> {
  const outcome = await probeRegistry(USUAL_ADDRESS)
  signal.throwIfAborted()
  if (outcome.kind !== 'answers') return undefined
  const description = `the registry that runs already on 127.0.0.1:${USUAL_ADDRESS.port}`
  return { address: USUAL_ADDRESS, description, stop: () => Promise.resolve() }
}

async function dockerEngine(search: Search): Promise<FoundRegistry | undefined> {
  if (!(await hasDockerEngine(search))) return undefined
  search.say('Starting registry:2 with Docker; the first time it is pulled, which may take a minute')
  const { name, isOurs, ...container } = await startRegistryContainer(search)
  const left = isOurs ? '' : `, left running by an earlier start; \`docker stop ${name}\` ends it`
  return answering(
    { ...container, description: `registry:2 in Docker, images in the volume ${name}${left}` },
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
      // It has ended by now: who has its port took it before the registry could.
      if (attempt === PORT_ATTEMPTS || !(await isTaken(started.address))) throw error
    }
  }
}

async function debianPackage(search: Search): Promise<FoundRegistry | undefined> {
  if (!(await canInstall(search))) return undefined
  search.say(`Installing the package ${PACKAGE}`)
  const env = { ...search.env, DEBIAN_FRONTEND: 'noninteractive' }
  const options = { env, signal: search.signal, timeoutMs: PACKAGE_TIMEOUT_MS }
  const install = (): Promise<ProgramResult> =>
    runProgram(['apt-get', 'install', '-y', '--no-install-recommends', PACKAGE], options)
  let result = await install()
  if (!result.ok) {
    // On a fresh machine the lists are missing or too old to find the package by.
    await runProgram(['apt-get', 'update'], options)
    result = await install()
  }
  if (!result.ok) throw new CommandError(`${PACKAGE} cannot be installed: ${result.reason}`)
  // Debian may have started the package's own service by now.
  return (await usualRegistry(search)) ?? programOnPath(PACKAGE)(search)
}

async function canInstall({ machine, env }: Search): Promise<boolean> {
  if (!machine.isRoot || !(await isDebian(machine))) return false
  // Installed already, it has been tried already.
  return (await findOnPath(PACKAGE, env)) === undefined && (await findOnPath('apt-get', env)) !== undefined
}

async function isDebian({ etc }: Machine): Promise<boolean> {
  return access(join(etc, 'debian_version')).then(
    () => true,
    () => false,
  )
}

/** Resolves to the registry once it answers; ends it and rejects with a CommandError when it does not. */
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
    if (ended?.aborted) throw new CommandError(`${description}: it ended at once`)
    const isHopeless = outcome.kind === 'unexpected' || deadline.aborted
    if (isHopeless) throw new CommandError(`${description}: ${outcome.reason}`)
    await delay(ANSWER_POLL_MS)
  }
}
