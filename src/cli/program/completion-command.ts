// Defines `completion` and describes all commands for it.

import { Argument, type Command, type Option } from 'commander'
import { settingNames, settingOf } from '../../settings/table.ts'
import type { Shell } from '../completion/completion.ts'
import type { CommandNode, Flag, FlagValue } from '../completion/command-tree.ts'
import type { Wiring } from './wiring.ts'

const SHELLS: readonly Shell[] = ['bash', 'zsh', 'fish']

export function addCompletionCommand(program: Command, { world, finish }: Wiring): void {
  const name = program.name()
  program
    .command('completion')
    .description('print a script that makes a shell complete commands, flags and files')
    .addArgument(new Argument('<shell>').choices(SHELLS))
    .addHelpText(
      'after',
      `
To load it in every new shell:
  bash  echo 'source <(${name} completion bash)' >> ~/.bashrc
  zsh   echo 'source <(${name} completion zsh)' >> ~/.zshrc   # after compinit
  fish  ${name} completion fish > ~/.config/fish/completions/${name}.fish`,
    )
    .action(async (shell: Shell) => {
      const { completion } = await import('../commands.ts')
      finish(completion({ shell, program: name, nodes: nodesOf(program) }, world))
    })
}

function nodesOf(program: Command): readonly CommandNode[] {
  const serve = program.commands.find((command) => command.name() === 'serve')
  const [top, ...others] = nodesBelow(program, '')
  if (top === undefined) return []
  // Without a command the flags are those of `serve`.
  return [{ ...top, flags: [...top.flags, ...(serve?.options ?? []).map(flagOf)] }, ...others]
}

function nodesBelow(command: Command, path: string): readonly CommandNode[] {
  const { commands, options, registeredArguments } = command
  const node: CommandNode = {
    path,
    commands: commands.map((one) => ({ text: one.name(), description: one.description() })),
    flags: [...options.map(flagOf), { text: '--help', description: 'display help', value: 'none' }],
    argumentWords: registeredArguments.flatMap(({ argChoices }) => argChoices ?? []),
  }
  return [node, ...commands.flatMap((one) => nodesBelow(one, `${path} ${one.name()}`.trim()))]
}

function flagOf(option: Option): Flag {
  return { text: option.long ?? option.flags, description: option.description, value: valueOf(option) }
}

function valueOf(option: Option): FlagValue {
  if (option.isBoolean()) return 'none'
  const name = settingNames().find((one) => one === option.attributeName())
  const words = name === undefined ? option.argChoices : settingOf(name).words
  if (words !== undefined) return words
  const form = /<(file|folder)>/.exec(option.flags)?.[1]
  return form === 'file' || form === 'folder' ? form : 'text'
}
