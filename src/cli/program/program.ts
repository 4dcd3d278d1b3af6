// Defines all commands, with their flags and help.

import { Command } from 'commander'
import { programVersion } from '../../app/version.ts'
import { watchSignals } from '../early-signals.ts'
import { addAccessCommands } from './access-commands.ts'
import { addCertCommands, addTrustCommand } from './certificate-commands.ts'
import { addCompletionCommand } from './completion-command.ts'
import { addFreezeCommands } from './freeze-commands.ts'
import { addUserCommands } from './user-commands.ts'
import {
  configInForce,
  configOf,
  sourcesOf,
  withAllSettings,
  withJson,
  withSettings,
  type Flags,
  type Wiring,
} from './wiring.ts'

// Commands are loaded when they run, because the server and the frequent health check must not load the others.

// By default commander does not wrap descriptions below 40 columns. The longest flag leaves 38 of 80 columns.
const MIN_WIDTH_TO_WRAP = 30

export function createProgram(wiring: Wiring): Command {
  const { world } = wiring
  const program = new Command('registry-sidecar')
    .description('TLS and login for a plain Docker registry')
    .version(programVersion())
    .exitOverride()
    .configureOutput({
      writeOut: (text) => world.stdout.write(text),
      writeErr: (text) => world.stderr.write(text),
    })
    .configureHelp({ minWidthToWrap: MIN_WIDTH_TO_WRAP })
    .showHelpAfterError('(--help lists commands and flags)')
  addServeCommands(program, wiring)
  addUserCommands(program, wiring)
  addAccessCommands(program, wiring)
  addCertCommands(program, wiring)
  addTrustCommand(program, wiring)
  addCheckCommands(program, wiring)
  addFreezeCommands(program, wiring)
  addCompletionCommand(program, wiring)
  return program
}

function addServeCommands(program: Command, { world, finish }: Wiring): void {
  withAllSettings(
    program.command('serve').description('run the sidecar; the default if no command is given'),
  ).action(async (flags: Flags) => {
    const config = configOf(world, flags)
    const early = watchSignals(world)
    const { serve } = await import('../serve.ts')
    finish(await serve(config, early.world))
    early.stopWatching()
  })
  withAllSettings(
    program
      .command('quickstart')
      .description('find or start a registry, create the first user, and run the sidecar'),
  ).action(async (flags: Flags) => {
    const { quickstart } = await import('../quickstart/quickstart.ts')
    finish(await quickstart(sourcesOf(world, flags), world))
  })
}

function addCheckCommands(program: Command, { world, finish }: Wiring): void {
  const check = program
    .command('check')
    .description('check settings, users, certificate and registry')
    .option('--host <host:port>', 'check this address instead, as a client would')
  withAllSettings(withJson(check)).action(async (flags: Flags) => {
    const host = typeof flags['host'] === 'string' ? flags['host'] : undefined
    const { check } = await import('../commands.ts')
    finish(await check({ sources: sourcesOf(world, flags), json: flags['json'] === true, host }, world))
  })
  const healthcheck = program
    .command('healthcheck')
    .description('ask the running sidecar whether it is ready: exit code 0 if it is, else 1')
    .option('--json', 'print one JSON document; this is also the default')
  withSettings(healthcheck, ['adminListen', 'stateDir']).action(async (flags: Flags) => {
    const { healthcheck } = await import('../healthcheck.ts')
    finish(await healthcheck(await configInForce(world, flags, ['adminListen']), world))
  })
  const top = program.command('top').description('show the live status of the running sidecar')
  withSettings(withJson(top), ['adminListen', 'stateDir']).action(async (flags: Flags) => {
    const { top } = await import('../commands.ts')
    const config = await configInForce(world, flags, ['adminListen'])
    finish(await top(config, { json: flags['json'] === true }, world))
  })
}
