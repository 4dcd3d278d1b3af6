// Writes and reads the progress of a freeze in the state folder.
//
// Each sidecar of the folder writes its own file. So the command `freeze` finds all sidecars without their addresses.

import { randomBytes } from 'node:crypto'
import { readdir, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { shareNextRun } from '../async/in-flight.ts'
import { errorMessage } from '../errors/errors.ts'
import { replaceFile } from '../files/atomic-file.ts'
import { readIfPresent } from '../files/regular-file.ts'
import type { Log } from '../observability/log.ts'
import type { Freeze, HeldWrites } from './freeze-file.ts'

export interface Progress {
  /** The id of the freeze. */
  readonly freeze: string
  readonly holds: HeldWrites
  readonly pushes: number
  readonly waiting: number
  /** Grows with each report. If it stops growing, the sidecar has ended. */
  readonly report: number
}

export interface ProgressReports {
  /** Reports at once, and then every second. A call without a freeze ends the reports. */
  follow(freeze: Pick<Freeze, 'id' | 'holds'> | undefined): void
  close(): Promise<void>
}

export interface ProgressOptions {
  readonly stateDir: string
  readonly counts: () => Pick<Progress, 'pushes' | 'waiting'>
  readonly log: Log
}

const REPORT_EVERY_MS = 1_000
const NAME = /^freeze-[0-9a-f]{16}\.json$/
const MODE = 0o644

export function createProgressReports({ stateDir, counts, log }: ProgressOptions): ProgressReports {
  // Random, because containers may share host name, process id and state folder.
  const file = join(stateDir, `freeze-${randomBytes(8).toString('hex')}.json`)
  let current: Pick<Freeze, 'id' | 'holds'> | undefined
  let timer: NodeJS.Timeout | undefined
  let reports = 0
  let hasFailed = false

  const write = shareNextRun(async () => {
    try {
      if (current === undefined) await removeIfPresent(file)
      else await replaceFile(file, textOf(current), { mode: MODE })
      hasFailed = false
    } catch (error) {
      if (!hasFailed) {
        const reason = errorMessage(error)
        log.warn({ event: 'freeze-progress-not-written', file, reason }, NOT_WRITTEN)
      }
      hasFailed = true
    }
  })

  function textOf({ id: freeze, holds }: Pick<Freeze, 'id' | 'holds'>): string {
    reports += 1
    const progress: Progress = { freeze, holds, ...counts(), report: reports }
    return `${JSON.stringify(progress)}\n`
  }

  function follow(freeze: Pick<Freeze, 'id' | 'holds'> | undefined): void {
    current = freeze
    clearInterval(timer)
    if (freeze !== undefined) timer = setInterval(() => void write(), REPORT_EVERY_MS)
    void write()
  }

  return {
    follow,
    close: async () => {
      clearInterval(timer)
      if (current === undefined && reports === 0) return
      current = undefined
      await write()
    },
  }
}

const NOT_WRITTEN =
  'the progress of a freeze cannot be written; the command cannot see that pushes have ended'

// Threat: another user writes a false report. It may delay a freeze, but it does not hide the pushes of a sidecar.
/** The keys are file names. Ignores files that cannot be read. Rejects if the folder cannot be read. */
export async function readProgress(stateDir: string): Promise<ReadonlyMap<string, Progress>> {
  const names = (await readdir(stateDir)).filter((name) => NAME.test(name))
  const read = await Promise.all(
    names.map(async (name) => {
      const bytes = await readIfPresent(join(stateDir, name)).catch(() => undefined)
      const progress = bytes === undefined ? undefined : parseProgress(bytes)
      return progress === undefined ? [] : [[name, progress] as const]
    }),
  )
  return new Map(read.flat())
}

/** Removes the file of a killed sidecar. A running sidecar writes its file again. */
export async function removeProgress(stateDir: string, name: string): Promise<void> {
  await removeIfPresent(join(stateDir, name))
}

function parseProgress(bytes: Buffer): Progress | undefined {
  try {
    const value = JSON.parse(bytes.toString()) as Readonly<Record<keyof Progress, unknown>> | null
    const { freeze, holds, pushes, waiting, report } = value ?? {}
    const isNamed = typeof freeze === 'string' && (holds === 'all' || holds === 'new-pushes')
    if (!isNamed || ![pushes, waiting, report].every(Number.isSafeInteger)) return undefined
    return { freeze, holds, pushes: Number(pushes), waiting: Number(waiting), report: Number(report) }
  } catch {
    return undefined
  }
}

async function removeIfPresent(file: string): Promise<void> {
  await unlink(file).catch(() => undefined)
}
