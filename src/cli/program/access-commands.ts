// Defines the `access` commands.

import { Argument, type Command } from 'commander'
import { ACTIONS, type Action } from '../../access/actions.ts'
import { configOf, withJson, withSettings, type Flags, type Wiring } from './wiring.ts'

export function addAccessCommands(program: Command, { world, finish }: Wiring): void {
  const access = program.command('access').description('test the access rules')
  const test = access
    .command('test')
    .description(
      'show whether a user may do an action, and which rule decides; exit code 0 if allowed, else 1',
    )
    .argument('<user>', 'a username, or anonymous')
    .addArgument(new Argument('<action>', 'what the user wants to do').choices([...ACTIONS]))
    .argument('[repository]', 'the repository; needed for pull, push and delete')
  withSettings(withJson(test), ['access', 'users']).action(
    async (username: string, action: Action, repository: string | undefined, flags: Flags) => {
      const { testAccess } = await import('../commands.ts')
      const { access: file, users: usersFile } = configOf(world, flags)
      const question = { username, action, repository, file, usersFile, json: flags['json'] === true }
      finish(await testAccess(question, world))
    },
  )
}
