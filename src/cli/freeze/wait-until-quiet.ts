// Waits until the sidecars of a state folder have no running pushes.

import { setTimeout as pause } from 'node:timers/promises'
import { CommandError, errorMessage } from '../../errors/errors.ts'
import { readProgress, removeProgress, type Progress } from '../../freeze/freeze-progress.ts'
import type { OwnFreeze } from './own-freeze.ts'

export interface PushCount {
  readonly sidecars: number
  /** Pushes that still ran at the end of `--wait`. */
  readonly pushes: number
}

export interface QuietOptions {
  readonly waitMs: number
  readonly signal: AbortSignal
}

const LOOK_EVERY_MS = 100

// A sidecar reports within a second. Several sidecars may share the folder, so the command waits for all first reports.
const FIRST_REPORTS_MS = 2_000
const NO_REPORT_MS = 6_000

// A sidecar reports every second. After this silence it has ended, so it forwards no write.
const SILENT_MS = 10_000

/** Rejects with a CommandError if no sidecar reports, or with the reason of the signal. */
export async function waitUntilQuiet(own: OwnFreeze, { waitMs, signal }: QuietOptions): Promise<PushCount> {
  const { stateDir, freeze } = own
  const begunAt = performance.now()
  const reports = createReports(own)
  for (;;) {
    const passedMs = performance.now() - begunAt
    const running = await reports.look()
    const counted = { sidecars: running.length, pushes: pushesOf(running) }
    const isOver = Date.now() >= freeze.until
    const isKnown = reports.hasAny && (passedMs >= FIRST_REPORTS_MS || isOver)
    if (isKnown && (passedMs >= waitMs || counted.pushes === 0)) return counted
    if (!reports.hasAny && passedMs >= NO_REPORT_MS) throw new CommandError(noSidecar(stateDir))
    if (isOver) throw new CommandError('--for is over, and pushes still run; thawed')
    await pause(LOOK_EVERY_MS, undefined, { signal }).catch(() => undefined)
    if (signal.aborted) throw signal.reason
  }
}

/** Rejects with a CommandError if not every sidecar holds all writes within 6 s. */
export async function waitUntilAllHeld(own: OwnFreeze): Promise<void> {
  const reports = createReports(own)
  for (let waitedMs = 0; waitedMs < NO_REPORT_MS; waitedMs += LOOK_EVERY_MS) {
    const running = await reports.look()
    if (running.length > 0 && running.every(({ holds }) => holds === 'all')) return
    await pause(LOOK_EVERY_MS)
  }
  // Threat: the program would delete layers of a push that still runs.
  throw new CommandError('a sidecar does not report that it holds all writes; its log has the reason; thawed')
}

function pushesOf(reports: readonly Progress[]): number {
  return reports.reduce((sum, { pushes }) => sum + pushes, 0)
}

function noSidecar(stateDir: string): string {
  return (
    `no sidecar runs with the state folder ${stateDir}, so nothing is frozen; ` +
    'start the sidecar, or set SIDECAR_STATE_DIR to the folder of the running sidecar'
  )
}

interface Reports {
  /** Returns the last report of each sidecar that has not ended. */
  look(): Promise<readonly Progress[]>
  readonly hasAny: boolean
}

interface Seen {
  readonly progress: Progress
  readonly at: number
}

function createReports({ stateDir, freeze: { id } }: OwnFreeze): Reports {
  const seen = new Map<string, Seen>()
  let isFirst = true
  let hasAny = false

  async function look(): Promise<readonly Progress[]> {
    const now = performance.now()
    for (const [name, progress] of await read(stateDir)) {
      if (progress.freeze === id) {
        hasAny = true
        if (seen.get(name)?.progress.report !== progress.report) seen.set(name, { progress, at: now })
      } else if (isFirst) await removeProgress(stateDir, name)
    }
    isFirst = false
    return [...seen.values()].filter(({ at }) => now - at < SILENT_MS).map(({ progress }) => progress)
  }

  return {
    look,
    get hasAny() {
      return hasAny
    },
  }
}

async function read(stateDir: string): Promise<ReadonlyMap<string, Progress>> {
  try {
    return await readProgress(stateDir)
  } catch (error) {
    throw new CommandError(`the state folder ${stateDir} cannot be read: ${errorMessage(error)}`, {
      cause: error,
    })
  }
}
