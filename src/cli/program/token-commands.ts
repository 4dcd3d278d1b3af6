// Defines the `user token` commands.

import type { Command } from 'commander'
import {
  collect,
  textOf,
  textsOf,
  usersFile,
  withJson,
  withSettings,
  type Flags,
  type Wiring,
} from './wiring.ts'

const DEFAULT_EXPIRY = '90d'
const DEFAULT_ALLOW = 'pull,push'

export function addTokenCommands(user: Command, { world, finish }: Wiring): void {
  const token = user
    .command('token')
    .description('manage passwords for machines; they expire and have fewer rights')
  const file = (flags: Flags) => ({ ...usersFile(world, flags), json: flags['json'] === true })

  const add = token
    .command('add <user>')
    .description('create a password for a machine that logs in as this user, and print it once')
    .option('--expires <duration>', 'how long it is valid, at most 3650d', DEFAULT_EXPIRY)
    .option(
      '--allow <actions>',
      'the actions that it allows, if its user may do them: pull, push, delete, catalog, status',
      DEFAULT_ALLOW,
    )
    .option(
      '--repositories <glob>',
      'the repositories where it allows them; may be given several times; default: all',
      collect,
    )
    .option('--label <text>', 'a note for lists and the log that says where it is used')
  withSettings(withJson(add), ['users']).action(async (name: string, flags: Flags) => {
    const { addToken } = await import('../commands.ts')
    const choice = {
      expires: textOf(flags['expires']) ?? DEFAULT_EXPIRY,
      allow: textOf(flags['allow']) ?? DEFAULT_ALLOW,
      repositories: textsOf(flags['repositories']),
      label: textOf(flags['label']) ?? '',
    }
    finish(await addToken({ name, ...choice, ...file(flags) }, world))
  })

  const list = token
    .command('list [user]')
    .description('list the passwords for machines: rights, expiry and last use, never the secret')
  withSettings(withJson(list), ['users', 'stateDir']).action(
    async (name: string | undefined, flags: Flags) => {
      const { listTokens } = await import('../commands.ts')
      finish(await listTokens({ name, ...file(flags) }, world))
    },
  )

  const revoke = token
    .command('revoke <id>')
    .description('revoke a password for a machine; the next request with it is refused')
  withSettings(withJson(revoke), ['users']).action(async (id: string, flags: Flags) => {
    const { revokeToken } = await import('../commands.ts')
    finish(await revokeToken({ id, ...file(flags) }, world))
  })
}
