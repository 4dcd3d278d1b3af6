// `completion`: prints a script that makes a shell complete this command line.

import { bashScript } from './completion/bash.ts'
import type { CommandNode } from './completion/command-tree.ts'
import { fishScript } from './completion/fish.ts'
import { zshScript } from './completion/zsh.ts'
import type { ExitCode, World } from './world.ts'

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
