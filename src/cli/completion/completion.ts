// Prints the completion script of a shell.

import { bashScript } from './bash.ts'
import type { CommandNode } from './command-tree.ts'
import { fishScript } from './fish.ts'
import { zshScript } from './zsh.ts'
import type { ExitCode, World } from '../../app/world.ts'

const SCRIPTS = { bash: bashScript, zsh: zshScript, fish: fishScript } as const

export type Shell = keyof typeof SCRIPTS

export interface CompletionRequest {
  readonly shell: Shell
  readonly program: string
  readonly nodes: readonly CommandNode[]
}

export function completion({ shell, program, nodes }: CompletionRequest, { stdout }: World): ExitCode {
  stdout.write(SCRIPTS[shell](program, nodes))
  return 0
}
