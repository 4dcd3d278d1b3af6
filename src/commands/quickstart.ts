// Quickstart: one command from nothing to a registry with TLS and login.

import { readUsersFile } from '../auth/users-file.ts'
import { DEFAULT_COST } from '../auth/htpasswd-line.ts'
import { parseConfig, variableOf, type Sources } from '../config.ts'
import { CommandError } from '../errors.ts'
import { findRegistry, useRegistry, type FoundRegistry } from './quickstart/find-registry.ts'
import { firstSteps } from './quickstart/first-steps.ts'
import { thisMachine } from './machine.ts'
import { serve } from './serve.ts'
import { addUser } from './user.ts'
import type { ExitCode, World } from './world.ts'

const FIRST_USER = 'admin'

/**
 * Finds or starts a registry, creates a first user where there is no users file, runs the sidecar and tells what to
 * type. Ends as `serve` does; a registry that it started ends with it.
 */
export async function quickstart(sources: Sources, world: World, machine = thisMachine()): Promise<ExitCode> {
  const config = parseConfig(sources)
  const early = watchSignals(world)
  try {
    const find = isRegistryNamed(sources) ? useRegistry(config.upstream) : findRegistry
    const registry = await find({ env: world.env, machine, signal: early.signal, say: sayTo(world) })
    return await withRegistry(registry, world, async () => {
      await ensureUser(config.users, world)
      return serve({ ...config, upstream: registry.address }, early.world, {
        onReady: (sidecar) => {
          world.stdout.write(firstSteps({ config, sidecar, machine }))
        },
      })
    })
  } finally {
    early.stopWatching()
  }
}

function isRegistryNamed({ env, flags }: Sources): boolean {
  return (flags?.upstream ?? env[variableOf('upstream')] ?? '') !== ''
}

async function withRegistry(
  registry: FoundRegistry,
  world: World,
  use: () => Promise<ExitCode>,
): Promise<ExitCode> {
  const onEnded = () => {
    world.stderr.write(`registry-sidecar: the registry has ended: ${registry.description}\n`)
  }
  registry.ended?.addEventListener('abort', onEnded)
  try {
    sayTo(world)(`Using ${registry.description}`)
    return await use()
  } finally {
    registry.ended?.removeEventListener('abort', onEnded)
    await registry.stop()
  }
}

async function ensureUser(file: string, world: World): Promise<void> {
  if ((await readUsersFile(file)) === undefined) {
    await addUser({ file, name: FIRST_USER, generate: true, cost: DEFAULT_COST, json: false }, world)
  } else {
    sayTo(world)(`The users in ${file} are left as they are`)
  }
}

interface EarlySignals {
  /** Aborts at the first signal. */
  readonly signal: AbortSignal
  /** A world whose listeners also learn of the signal that came before they listened. */
  readonly world: World
  stopWatching(): void
}

// Until the sidecar listens for signals itself, one must not end the process: it would leave behind the registry that
// has just been started. Nor after it, while that registry is being stopped.
function watchSignals(world: World): EarlySignals {
  const controller = new AbortController()
  let missed: NodeJS.Signals | undefined
  const stopWatching = world.onSignal(['SIGTERM', 'SIGINT'], (signal) => {
    missed ??= signal
    controller.abort(new CommandError(`stopped by ${signal}`))
  })
  const onSignal: World['onSignal'] = (signals, listener) => {
    const signal = missed
    if (signal !== undefined && signals.includes(signal)) {
      queueMicrotask(() => {
        listener(signal)
      })
    }
    return world.onSignal(signals, listener)
  }
  return { signal: controller.signal, world: { ...world, onSignal }, stopWatching }
}

function sayTo({ stdout }: World): (line: string) => void {
  return (line) => {
    stdout.write(`${line}\n`)
  }
}
