// Quickstart: one command from nothing to a registry with TLS and login.

import { readUsersFile } from '../auth/users-file.ts'
import { DEFAULT_COST } from '../auth/htpasswd-line.ts'
import { parseConfig, type Sources } from '../config.ts'
import { variableOf } from '../settings/setting.ts'
import { findRegistry, useRegistry, type FoundRegistry } from './quickstart/find-registry.ts'
import { firstSteps } from './quickstart/first-steps.ts'
import { thisMachine } from './machine.ts'
import { serve } from './serve.ts'
import { addUser } from './user.ts'
import { watchSignals } from './early-signals.ts'
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

function sayTo({ stdout }: World): (line: string) => void {
  return (line) => {
    stdout.write(`${line}\n`)
  }
}
