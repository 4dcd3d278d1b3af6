// Defines `freeze` and `thaw`.

import type { Command } from 'commander'
import { configInForce, configOf, textOf, withJson, withSettings, type Flags, type Wiring } from './wiring.ts'

const DEFAULT_FOR = '30m'
const DEFAULT_WAIT = '5m'

export function addFreezeCommands(program: Command, { world, finish }: Wiring): void {
  const freeze = program
    .command('freeze')
    .description('hold new pushes while the registry is cleaned, backed up or upgraded; pulls go on')
    .argument(
      '[command...]',
      'a command after --: freeze runs it when no push is running, then waits for the registry and thaws',
    )
    .option('--for <duration>', 'the freeze ends by itself after this time', DEFAULT_FOR)
    .option('--wait <duration>', 'the time that running pushes get to finish', DEFAULT_WAIT)
  withSettings(withJson(freeze), ['stateDir', 'upstream']).action(
    async (command: readonly string[], flags: Flags) => {
      const { stateDir, upstream } = await configInForce(world, flags, ['upstream'])
      const { freeze } = await import('../commands.ts')
      const request = {
        stateDir,
        upstream,
        json: flags['json'] === true,
        frozenFor: textOf(flags['for']) ?? DEFAULT_FOR,
        wait: textOf(flags['wait']) ?? DEFAULT_WAIT,
        program: command,
      }
      finish(await freeze(request, world))
    },
  )
  const thaw = program.command('thaw').description('end a freeze; waiting pushes go on')
  withSettings(withJson(thaw), ['stateDir']).action(async (flags: Flags) => {
    const { thaw } = await import('../commands.ts')
    finish(await thaw({ stateDir: configOf(world, flags).stateDir, json: flags['json'] === true }, world))
  })
}
