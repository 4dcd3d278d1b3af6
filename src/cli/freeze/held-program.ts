// Runs a program while writes are held, and waits for the registry.

import { spawn } from 'node:child_process'
import { setTimeout as pause } from 'node:timers/promises'
import type { World } from '../../app/world.ts'
import { errorCode, errorMessage } from '../../errors/errors.ts'
import type { RegistryAddress } from '../../upstream/connect/registry-address.ts'
import { probeRegistry } from '../../upstream/probe/probe.ts'
import { isOwnInForce, type OwnFreeze } from './own-freeze.ts'

export interface HeldProgramOptions {
  readonly own: OwnFreeze
  readonly upstream: RegistryAddress
  /** If true, the output of the program goes to stderr. */
  readonly json: boolean
  readonly world: Pick<World, 'env' | 'onSignal'>
  /** Aborted when a signal has arrived. */
  readonly signal: AbortSignal
}

export interface ProgramOutcome {
  /** Messages for the operator; empty if all went well. */
  readonly problems: readonly string[]
  /** Undefined if the program did not start, or was ended by a signal. */
  readonly exitCode: number | undefined
}

const PROBE_EVERY_MS = 250

/** Resolves after the end of the program, also of a failed one. Without problems, the registry answers again. */
export async function runWhileFrozen(
  program: readonly [string, ...string[]],
  options: HeldProgramOptions,
): Promise<ProgramOutcome> {
  const { own, upstream, signal } = options
  const end = await runToEnd(program, options)
  if (end.problem !== undefined) return { problems: [end.problem], exitCode: end.exitCode }
  // Threat: the freeze has ended before the program, so a push may have lost layers.
  if (!(await isOwnInForce(own))) return { problems: [ENDED_EARLY], exitCode: end.exitCode }
  const answers = await waitForRegistry(upstream, { until: own.freeze.until, signal })
  const problems = answers ? [] : [`the registry does not answer after ${program[0]} has ended; thawed`]
  return { problems, exitCode: end.exitCode }
}

const ENDED_EARLY =
  'the freeze has ended before the program; pushes may have run meanwhile, so choose a longer --for'

interface ProgramEnd {
  readonly problem: string | undefined
  readonly exitCode: number | undefined
}

// The program inherits input and output. A second signal kills the program, so that this command ends and thaws.
function runToEnd(
  [name, ...args]: readonly [string, ...string[]],
  { json, world: { env, onSignal } }: HeldProgramOptions,
): Promise<ProgramEnd> {
  return new Promise((resolve) => {
    const child = spawn(name, args, { env, stdio: ['inherit', json ? 2 : 'inherit', 'inherit'] })
    let signals = 0
    const ignoreSignals = onSignal(['SIGINT', 'SIGTERM'], (signal) => {
      signals += 1
      child.kill(signals === 1 ? signal : 'SIGKILL')
    })
    const finish = (problem: string | undefined, exitCode?: number): void => {
      ignoreSignals()
      resolve({ problem, exitCode })
    }
    child.once('error', (error) => {
      const reason = errorCode(error) === 'ENOENT' ? 'no such program' : errorMessage(error)
      finish(`${name} cannot be started: ${reason}; thawed`)
    })
    child.once('close', (code, signal) => {
      if (code === 0) finish(signals === 0 ? undefined : `stopped by a signal; thawed`, 0)
      else if (code === null) finish(`${name} was ended by ${String(signal)}; thawed`)
      else finish(`${name} failed with exit code ${code}; thawed`, code)
    })
  })
}

interface RegistryWait {
  /** Milliseconds since 1970. */
  readonly until: number
  readonly signal: AbortSignal
}

// If the freeze ended while the registry restarts, waiting clients would get 502.
async function waitForRegistry(upstream: RegistryAddress, { until, signal }: RegistryWait): Promise<boolean> {
  for (;;) {
    const { kind } = await probeRegistry(upstream)
    if (kind === 'answers') return true
    if (Date.now() >= until || signal.aborted) return false
    await pause(PROBE_EVERY_MS, undefined, { signal }).catch(() => undefined)
  }
}
