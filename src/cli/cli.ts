// Runs one command line and maps its outcome to an exit code.

import { CommanderError } from 'commander'
import { CommandError, ConfigError, InvalidFileError } from '../errors/errors.ts'
import { createProgram } from './program/program.ts'
import type { ExitCode, World } from '../app/world.ts'

/** `args` excludes node and the script. Never rejects on wrong usage. */
export async function runCli(args: readonly string[], world: World): Promise<ExitCode> {
  let code: ExitCode = 0
  const program = createProgram({ world, finish: (result) => (code = result) })
  try {
    await program.parseAsync(withDefaultCommand(args), { from: 'user' })
    return code
  } catch (error) {
    return reportError(error, world)
  }
}

// commander's default command would pass an unknown command to `serve`, and suggest no similar command.
function withDefaultCommand([first, ...rest]: readonly string[]): readonly string[] {
  if (first === undefined) return ['serve']
  const isForProgram = !first.startsWith('-') || ['-h', '--help', '-V', '--version'].includes(first)
  return isForProgram ? [first, ...rest] : ['serve', first, ...rest]
}

function reportError(error: unknown, { stderr }: World): ExitCode {
  // commander also throws for --help and --version, with code 0.
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 64
  if (error instanceof ConfigError) {
    for (const problem of error.problems) stderr.write(`registry-sidecar: ${problem}\n`)
    return 64
  }
  if (error instanceof CommandError || error instanceof InvalidFileError) {
    stderr.write(`registry-sidecar: ${error.message}\n`)
    return 1
  }
  throw error
}
