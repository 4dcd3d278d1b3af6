// Starts the processes of a benchmark and ends all of them.

import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import { processTree } from './process-tree.ts'

const QUIT_TIMEOUT_MS = 3000

const running = new Set<ChildProcess>()

export interface ChildOptions {
  readonly cwd?: string
  readonly env?: Readonly<Record<string, string>>
}

/** Starts a program in the background; its output goes to a file. */
export function startChild(
  [program, ...args]: readonly [string, ...string[]],
  { logFile, ...options }: ChildOptions & { readonly logFile: string },
): ChildProcess {
  const log = openSync(logFile, 'a')
  const child = spawn(program, args, { ...withEnvironment(options), stdio: ['ignore', log, log] })
  closeSync(log)
  return track(child)
}

/** Runs a program to its end and resolves to its stdout. Rejects with its output if it fails. */
export async function runChild(
  [program, ...args]: readonly [string, ...string[]],
  options: ChildOptions = {},
): Promise<string> {
  const child = spawn(program, args, { ...withEnvironment(options), stdio: ['ignore', 'pipe', 'pipe'] })
  track(child)
  const output = { stdout: '', stderr: '' }
  child.stdout.on('data', (chunk: Buffer) => (output.stdout += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (output.stderr += chunk.toString()))
  const [code, signal] = (await once(child, 'close')) as [number | null, string | null]
  if (code === 0) return output.stdout
  throw new Error(`${program} ended with ${String(code ?? signal)}: ${output.stderr}${output.stdout}`)
}

/** Kills one child and its descendants. */
export function endChild(child: ChildProcess): void {
  if (child.pid !== undefined && running.has(child)) processTree(child.pid).forEach(kill)
}

/** Sends SIGTERM to every child and waits up to 3 s, so that parents can end their own children. */
export async function quitChildren(): Promise<void> {
  const closed = [...running].map((child) => {
    child.kill('SIGTERM')
    return once(child, 'close')
  })
  await Promise.race([Promise.all(closed), pause(QUIT_TIMEOUT_MS, undefined, { ref: false })])
}

/** Kills all remaining children. Synchronous because it runs in the `exit` handler. */
export function endAllChildren(): void {
  running.forEach(endChild)
}

function withEnvironment({ cwd, env }: ChildOptions): { cwd: string | undefined; env: NodeJS.ProcessEnv } {
  return { cwd, env: { ...process.env, ...env } }
}

function track<T extends ChildProcess>(child: T): T {
  running.add(child)
  child.on('error', () => undefined)
  child.once('close', () => running.delete(child))
  return child
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // The process has already ended.
  }
}
