// Runs a benchmark program and cleans up however it ends.

import { errorCode } from '../../src/errors/errors.ts'
import { endAllChildren, quitChildren } from './children.ts'

let isLeaving = false

/** Runs `main` or prints the usage. An error is printed and becomes exit code 1. */
export async function runProgram(
  usage: string,
  main: (args: readonly string[]) => Promise<void>,
): Promise<void> {
  process.once('exit', endAllChildren)
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => void leave(130))
  if (process.argv.includes('--help')) {
    console.log(usage)
    return
  }
  try {
    await main(process.argv.slice(2))
  } catch (error) {
    // While the process exits, pending work fails too.
    if (!isLeaving) console.error(isWrongArgument(error) ? `${error.message}\n\n${usage}` : error)
    await leave(1)
  }
  await leave(0)
}

function isWrongArgument(error: unknown): error is Error {
  return error instanceof Error && errorCode(error)?.startsWith('ERR_PARSE_ARGS') === true
}

/** Prints progress to stderr, so that stdout holds only the result. */
export function say(line: string): void {
  console.error(line)
}

// `exit` handlers above and in environment.ts clean up.
async function leave(code: number): Promise<never> {
  isLeaving = true
  await quitChildren()
  process.exit(code)
}
