// Defines the `access` commands.

import { Argument, type Command } from 'commander'
import { ACTIONS, type Action } from '../../access/actions.ts'
import { configOf, withJson, withSettings, type Flags, type Wiring } from './wiring.ts'

export function addAccessCommands(program: Command, { world, finish }: Wiring): void {
  const access = program.command('access').description('ask the access rules')
  const test = access
    .command('test')
    .description('say whether a user may do something, and by which rule: exit code 0 if so, else 1')
    .argument('<user>', 'a username, or anonymous')
    .addArgument(new Argument('<action>', 'what the user wants to do').choices([...ACTIONS]))
    .argument('[repository]', 'where; needed for pull, push and delete')
  withSettings(withJson(test), ['access', 'users']).action(
    async (username: string, action: Action, repository: string | undefined, flags: Flags) => {
      const { testAccess } = await import('../access-test.ts')
      const { access: file, users: usersFile } = configOf(world, flags)
      const question = { username, action, repository, file, usersFile, json: flags['json'] === true }
      finish(await testAccess(question, world))
    },
  )
}
