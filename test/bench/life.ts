// How a program of the bench lives and ends: it leaves nothing behind, however it ends.

import { errorCode } from '../../src/errors.ts'
import { endAllChildren, quitChildren } from './children.ts'

let isLeaving = false

/** Runs it, unless help is asked for; what it throws is told, and is exit code 1. */
export async function live(usage: string, main: (args: readonly string[]) => Promise<void>): Promise<void> {
  process.once('exit', endAllChildren)
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => void leave(130))
  if (process.argv.includes('--help')) {
    console.log(usage)
    return
  }
  try {
    await main(process.argv.slice(2))
  } catch (error) {
    // Once we leave, everything fails that was under way.
    if (!isLeaving) console.error(isWrongArgument(error) ? `${error.message}\n\n${usage}` : error)
    await leave(1)
  }
  await leave(0)
}

function isWrongArgument(error: unknown): error is Error {
  return error instanceof Error && errorCode(error)?.startsWith('ERR_PARSE_ARGS') === true
}

/** Progress goes to stderr, so that stdout is the result alone. */
export function say(line: string): void {
  console.error(line)
}

// See the handlers of `exit` above and in stage.ts.
async function leave(code: number): Promise<never> {
  isLeaving = true
  await quitChildren()
  process.exit(code)
}
