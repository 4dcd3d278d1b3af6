// Runs `quickstart`: starts a registry with TLS and login.

import { DEFAULT_COST } from '../../users/htpasswd-line.ts'
import { parseHtpasswd } from '../../users/htpasswd.ts'
import { readUsersFile } from '../../users/users-file.ts'
import { isSetIn, parseConfig, type Config, type Sources } from '../../settings/config.ts'
import { errorMessage } from '../../errors/errors.ts'
import { SETTINGS } from '../../settings/table.ts'
import type { Sidecar } from '../../app/sidecar.ts'
import { addressText } from '../../upstream/connect/registry-address.ts'
import { quoted } from '../../client-setup/shell-commands.ts'
import { watchSignals } from '../early-signals.ts'
import { thisMachine } from '../this-machine.ts'
import { findRegistry, useRegistry, type FoundRegistry } from './find-registry.ts'
import { firstSteps } from './first-steps.ts'
import { assertPortsFree } from './free-ports.ts'
import { keepRecord, recordIn, type RecordedSettings, type SettingsRecord } from './record.ts'
import { serve } from '../serve.ts'
import { addUser } from '../user/user.ts'
import type { ExitCode, World } from '../../app/world.ts'

const FIRST_USER = 'admin'

/** Creates a first user if there is no users file. Stops a registry that it started. */
export async function quickstart(sources: Sources, world: World, machine = thisMachine()): Promise<ExitCode> {
  const config = parseConfig(sources)
  const isSet = isSetIn(sources)
  const early = watchSignals(world)
  try {
    const find = isSet('upstream') ? useRegistry(config.upstream) : findRegistry
    const registry = await find({ env: world.env, machine, signal: early.signal, say: sayTo(world) })
    return await withRegistry(registry, world, async () => {
      // A failed start must not leave a user behind.
      await assertPortsFree(config)
      await ensureUser(config.users, world)
      return serveRecorded({ ...config, upstream: registry.address }, early.world, (sidecar) => {
        world.stdout.write(firstSteps({ config, sidecar, machine }))
      })
    })
  } finally {
    early.stopWatching()
  }
}

async function withRegistry(
  registry: FoundRegistry,
  world: World,
  use: () => Promise<ExitCode>,
): Promise<ExitCode> {
  const onEnded = () => {
    world.stderr.write(`registry-sidecar: the registry has exited: ${registry.description}\n`)
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
  const bytes = await readUsersFile(file)
  if (bytes === undefined) {
    await addUser({ file, name: FIRST_USER, generate: true, cost: DEFAULT_COST, json: false }, world)
    return
  }
  const username = parseHtpasswd(bytes, file).entries.keys().next().value
  const where = file === SETTINGS.users.default ? '' : ` --users ${quoted(file)}`
  const say = sayTo(world)
  if (username === undefined) {
    say(`No users in ${file} yet: node dist/main.js user add ${FIRST_USER} --generate${where}`)
    return
  }
  say(`The users in ${file} are unchanged`)
  say(`If the password is lost: node dist/main.js user passwd ${quoted(username)} --generate${where}`)
}

// Other commands read the addresses of the registry and the sidecar from the record.
async function serveRecorded(
  config: Config,
  world: World,
  onReady: (sidecar: Sidecar) => void,
): Promise<ExitCode> {
  let record: SettingsRecord | undefined
  try {
    return await serve(config, world, {
      onReady: async (sidecar) => {
        record = await keepRecord(config.stateDir, recordedSettings(config, sidecar)).catch(
          (error: unknown) => {
            const reason = errorMessage(error)
            world.stderr.write(
              `registry-sidecar: ${recordIn(config.stateDir)}: ${reason}; other commands need flags for the settings of this quickstart\n`,
            )
            return undefined
          },
        )
        onReady(sidecar)
      },
    })
  } finally {
    await record?.remove()
  }
}

function recordedSettings(config: Config, { address, adminAddress }: Sidecar): RecordedSettings {
  const { upstream, listen, adminListen } = config
  const admin = adminListen === 'off' ? undefined : adminListen.host
  return {
    upstream: addressText(upstream),
    listen: `${inUrl(listen.host ?? '')}:${address.port}`,
    adminListen: adminAddress === undefined ? 'off' : `${inUrl(admin ?? '')}:${adminAddress.port}`,
  }
}

function inUrl(host: string): string {
  return host.includes(':') ? `[${host}]` : host
}

function sayTo({ stdout }: World): (line: string) => void {
  return (line) => {
    stdout.write(`${line}\n`)
  }
}
