// Runs programs to their end, and finds them on the PATH.

import { execFile } from 'node:child_process'
import { access, constants } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { errorCode } from '../../errors/errors.ts'
import type { World } from '../../app/world.ts'

export type ProgramResult =
  { readonly ok: true; readonly stdout: string } | { readonly ok: false; readonly reason: string }

export interface ProgramOptions {
  readonly env: World['env']
  readonly timeoutMs: number
  readonly signal?: AbortSignal
}

/** Never rejects: a missing, failed or slow program is a `reason`. */
export function runProgram(
  command: readonly [string, ...string[]],
  { env, timeoutMs, signal }: ProgramOptions,
): Promise<ProgramResult> {
  const [name, ...args] = command
  return new Promise((resolve) => {
    const options = { env, timeout: timeoutMs, ...(signal === undefined ? {} : { signal }) }
    const child = execFile(name, args, options, (error, stdout, stderr) => {
      if (error === null) resolve({ ok: true, stdout })
      else resolve({ ok: false, reason: reasonOf(error, { name, stderr, timeoutMs }) })
    })
    // A program that asks a question must not wait for the answer.
    child.stdin?.end()
  })
}

export async function findOnPath(name: string, env: World['env']): Promise<string | undefined> {
  const folders = (env['PATH'] ?? '').split(delimiter).filter((folder) => folder !== '')
  for (const file of folders.map((folder) => join(folder, name))) {
    const isRunnable = await access(file, constants.X_OK).then(
      () => true,
      () => false,
    )
    if (isRunnable) return file
  }
  return undefined
}

interface FailedProgram {
  readonly name: string
  readonly stderr: string
  readonly timeoutMs: number
}

function reasonOf(error: Error & { killed?: boolean }, { name, stderr, timeoutMs }: FailedProgram): string {
  if (errorCode(error) === 'ENOENT') return `there is no ${name} on the PATH`
  if (error.killed === true) return `${name} did not finish within ${timeoutMs / 1000} s`
  return /\S[^\n]*\s*$/.exec(stderr)?.[0].trim() ?? error.message
}
