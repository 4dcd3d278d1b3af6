// Defines the `user` commands.

import type { Command } from 'commander'
import { DEFAULT_COST } from '../../users/htpasswd-line.ts'
import { addTokenCommands } from './token-commands.ts'
import { textOf, usersFile, withJson, withSettings, type Flags, type Wiring } from './wiring.ts'

export function addUserCommands(program: Command, wiring: Wiring): void {
  const { world, finish } = wiring
  const user = program.command('user').description('manage the users file')
  const define = (name: string, description: string, addOptions = (command: Command) => command) =>
    withSettings(withJson(addOptions(user.command(name).description(description))), ['users'])
  const file = (flags: Flags) => ({ ...usersFile(world, flags), json: flags['json'] === true })
  const password = (flags: Flags) => ({
    ...file(flags),
    generate: flags['generate'] === true,
    cost: Number(flags['cost']),
  })

  const add = 'add a user; asks for the password, or reads it as one line from stdin'
  define('add <name>', add, withPasswordOptions).action(async (name: string, flags: Flags) => {
    const { addUser } = await import('../commands.ts')
    finish(await addUser({ name, ...password(flags) }, world))
  })
  define('passwd <name>', "change a user's password", withChangeOptions).action(
    async (name: string, flags: Flags) => {
      const keepOld = textOf(flags['keepOld'])
      const revokeTokens = flags['revokeTokens'] === true
      const { changePassword } = await import('../commands.ts')
      finish(await changePassword({ name, keepOld, revokeTokens, ...password(flags) }, world))
    },
  )
  define('remove <name>', 'remove a user').action(async (name: string, flags: Flags) => {
    const { removeUser } = await import('../commands.ts')
    finish(await removeUser({ name, ...file(flags) }, world))
  })
  define('list', 'list the users, and the lines of the file that are skipped').action(
    async (flags: Flags) => {
      const { listUsers } = await import('../commands.ts')
      finish(await listUsers(file(flags), world))
    },
  )
  define('verify <name>', "check a user's password: exit code 0 if it is right, else 1").action(
    async (name: string, flags: Flags) => {
      const { verifyUser } = await import('../commands.ts')
      finish(await verifyUser({ name, ...file(flags) }, world))
    },
  )
  addTokenCommands(user, wiring)
}

function withPasswordOptions(command: Command): Command {
  return command
    .option('--generate', 'generate a password and print it once')
    .option('--cost <number>', 'bcrypt work factor', String(DEFAULT_COST))
}

function withChangeOptions(command: Command): Command {
  return withPasswordOptions(command)
    .option(
      '--keep-old <duration>',
      'how long the old password stays valid, for example 10m or 24h; at most 24d',
    )
    .option('--revoke-tokens', 'also revoke the machine passwords of this user; see user token')
}
