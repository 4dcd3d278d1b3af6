// Runs `freeze`: holds writes, waits for running pushes, and runs a program.

import { ConfigError, CommandError } from '../../errors/errors.ts'
import { isoTime } from '../../freeze/freeze-file.ts'
import { parseDuration, type Parsed } from '../../settings/setting-values.ts'
import type { RegistryAddress } from '../../upstream/connect/registry-address.ts'
import type { ExitCode, World } from '../../app/world.ts'
import { beginFreeze, endFreeze, holdEverything, type FreezePlace, type OwnFreeze } from './own-freeze.ts'
import { runWhileFrozen } from './held-program.ts'
import { waitUntilAllHeld, waitUntilQuiet, type PushCount } from './wait-until-quiet.ts'

export interface FreezeRequest extends FreezePlace {
  readonly upstream: RegistryAddress
  readonly json: boolean
  /** Texts of durations, as in `30m`. */
  readonly frozenFor: string
  readonly wait: string
  /** If empty, the freeze stays in force after the command. */
  readonly program: readonly string[]
}

interface Durations {
  readonly frozenForMs: number
  readonly waitMs: number
}

/** Exit code 0 also if pushes still run when `wait` is over; a warning says so. */
export async function freeze(request: FreezeRequest, world: World): Promise<ExitCode> {
  const { frozenForMs, waitMs } = parseDurations(request)
  const [name, ...args] = request.program
  const stopping = new AbortController()
  const ignoreSignals = world.onSignal(['SIGINT', 'SIGTERM'], (signal) => {
    stopping.abort(new CommandError(`stopped by ${signal}; thawed`))
  })
  try {
    const own = await beginFreeze(request, { frozenForMs, runsProgram: name !== undefined })
    const counted = await orThaw(own, waitUntilQuiet(own, { waitMs, signal: stopping.signal }))
    if (counted.pushes > 0) warn(world, counted)
    if (name === undefined) {
      report(request, world, own, counted)
      return 0
    }
    const { signal } = stopping
    return await orThaw(own, runProgram(request, world, { own, counted, program: [name, ...args], signal }))
  } finally {
    ignoreSignals()
  }
}

interface Run {
  readonly own: OwnFreeze
  readonly counted: PushCount
  readonly program: readonly [string, ...string[]]
  readonly signal: AbortSignal
}

async function runProgram(
  request: FreezeRequest,
  world: World,
  { own, counted, program, signal }: Run,
): Promise<ExitCode> {
  // Otherwise a manifest could arrive after its layers were deleted, and the image would be incomplete.
  if (counted.pushes > 0) {
    await holdEverything(own)
    await waitUntilAllHeld(own)
  }
  if (signal.aborted) throw signal.reason
  const { upstream, json } = request
  const { problems, exitCode } = await runWhileFrozen(program, { own, upstream, json, world, signal })
  await endFreeze(own)
  for (const problem of problems) world.stderr.write(`registry-sidecar: ${problem}\n`)
  if (json) {
    const facts = { action: 'thawed', since: isoTime(own.freeze.since), sidecars: counted.sidecars }
    world.stdout.write(`${JSON.stringify({ ...facts, pushes: counted.pushes, exitCode, problems })}\n`)
  } else world.stdout.write('thawed: pushes go on\n')
  return problems.length === 0 ? 0 : 1
}

async function orThaw<T>(own: OwnFreeze, work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (error) {
    await endFreeze(own)
    throw error
  }
}

function warn({ stderr }: World, { pushes }: PushCount): void {
  stderr.write(
    `registry-sidecar: --wait is over, and pushes still run (${pushes}); garbage collection may delete their layers\n`,
  )
}

function report({ json }: FreezeRequest, { stdout }: World, { freeze }: OwnFreeze, counted: PushCount): void {
  const until = isoTime(freeze.until)
  const facts = { action: 'frozen', since: isoTime(freeze.since), until, sidecars: counted.sidecars }
  const text =
    counted.pushes === 0
      ? `frozen until ${until}: no push runs, and new pushes wait`
      : `frozen until ${until}: new pushes wait; pushes that still run: ${counted.pushes}`
  stdout.write(`${json ? JSON.stringify({ ...facts, pushes: counted.pushes }) : text}\n`)
}

function parseDurations({ frozenFor, wait }: FreezeRequest): Durations {
  const [frozenForMs, waitMs] = [parseDuration(frozenFor), parseWait(wait)]
  const problems = [
    ...(frozenForMs.ok ? [] : [`--for: ${frozenForMs.reason}`]),
    ...(waitMs.ok ? [] : [`--wait: ${waitMs.reason}`]),
  ]
  if (!frozenForMs.ok || !waitMs.ok) throw new ConfigError(problems)
  return { frozenForMs: frozenForMs.value, waitMs: waitMs.value }
}

function parseWait(text: string): Parsed<number> {
  return /^0(?:ms|s|m|h|d)?$/.test(text) ? { ok: true, value: 0 } : parseDuration(text)
}
