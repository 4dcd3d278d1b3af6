// Writes one JSON line for each change and each denied action.

import { openAuditFile } from './audit-file.ts'
import { createLineQueue, type LineTarget } from './line-queue.ts'
import type { Log } from './log.ts'

export type AuditEvent =
  | 'push'
  | 'delete'
  | 'denied'
  | 'user-added'
  | 'user-removed'
  | 'user-changed'
  | 'machine-password-added'
  | 'machine-password-removed'
  | 'file-loaded'
  | 'reload-requested'
  | 'certificate-renewed'
  | 'root-renewed'
  | 'frozen'
  | 'thawed'
  | 'lines-dropped'

/** See docs/audit.md. */
export interface AuditLine {
  readonly event: AuditEvent
  readonly outcome: 'done' | 'denied' | 'refused' | 'failed' | 'unanswered'
  readonly [field: string]: unknown
}

export interface AuditStream {
  /** Never throws, and never waits. */
  record(line: AuditLine): void
  readonly dropped: number
  reopen(): void
  close(): Promise<void>
}

export type AuditSetting = 'off' | 'stdout' | { readonly file: string }

export interface AuditOptions {
  readonly log: Log
  readonly stdout: NodeJS.WritableStream | undefined
}

/** Resolves to undefined for `off`. Rejects with InvalidFileError. */
export async function openAuditStream(
  setting: AuditSetting,
  { log, stdout }: AuditOptions,
): Promise<AuditStream | undefined> {
  if (setting === 'off') return undefined
  if (setting === 'stdout') return createAuditStream(targetOf(stdout), { log, file: setting })
  const { file } = setting
  const target = await openAuditFile(file, (reason) => {
    log.error({ event: 'audit-not-reopened', file, reason }, NOT_REOPENED)
  })
  const stream = createAuditStream(target, { log, file })
  return {
    ...stream,
    get dropped() {
      return stream.dropped
    },
    reopen: () => {
      target.reopen()
      stream.reopen()
    },
  }
}

const NOT_REOPENED = 'the audit file cannot be opened again; lines still go to the file that was open'
const BLOCKED =
  'the audit stream cannot be written; lines wait in memory, and new lines are dropped if too many wait'
const HINT =
  'free space on the disk, restore the folder or restart the reader; the sidecar tries again by itself'

function createAuditStream(
  target: LineTarget,
  { log, file }: { readonly log: Log; readonly file: string },
): AuditStream {
  const queue = createLineQueue(target, {
    onBlocked: (reason) => {
      log.error({ event: 'audit-not-written', file, reason, hint: HINT }, BLOCKED)
    },
    onRecovered: (dropped) => {
      log.warn({ event: 'audit-written-again', file, dropped }, 'the audit stream can be written again')
      if (dropped > 0) record({ event: 'lines-dropped', outcome: 'failed', count: dropped })
    },
    onLost: (lines) => {
      log.error({ event: 'audit-lines-lost', file, lines }, 'audit lines were not written before the end')
    },
  })

  // On stdout, `stream` distinguishes the line from a line of the log.
  function record(line: AuditLine): void {
    queue.add(`${JSON.stringify({ stream: 'audit', time: new Date().toISOString(), ...line })}\n`)
  }

  return {
    record,
    get dropped() {
      return queue.dropped
    },
    reopen: () => {
      queue.wake()
    },
    close: () => queue.close(),
  }
}

// A stream of Node buffers without a limit. So the next batch waits until the stream has written the previous one.
function targetOf(stdout: NodeJS.WritableStream | undefined): LineTarget {
  if (stdout === undefined) throw new Error('the audit stream needs a standard output')
  return {
    prepare: () => Promise.resolve('same'),
    write: (bytes) =>
      new Promise((resolve, reject) => {
        stdout.write(bytes, (error) => {
          if (error instanceof Error) reject(error)
          else resolve(bytes.length)
        })
      }),
    close: () => Promise.resolve(),
  }
}
