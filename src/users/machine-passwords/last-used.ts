// Stores when each machine password was last used, for `user token list`.
// Several processes may share the file. Each merges its times, so they are right to about a minute.

import { errorMessage } from '../../errors/errors.ts'
import { replaceFile } from '../../files/atomic-file.ts'
import { refuseForeign } from '../../files/foreign-file.ts'
import { readIfPresent } from '../../files/regular-file.ts'
import type { Log } from '../../observability/log.ts'
import type { MachinePasswords } from '../user-table.ts'

/** By id, in milliseconds since 1970. */
export type LastUsedTimes = ReadonlyMap<string, number>

export interface LastUsed {
  note(id: string): void
  close(): Promise<void>
}

export interface LastUsedOptions {
  readonly file: string
  readonly log: Log
  readonly current: () => MachinePasswords
  readonly writeEveryMs?: number
}

export const LAST_USED_FILE = 'machine-passwords.json'

const WRITE_EVERY_MS = 60_000

export function createLastUsed(options: LastUsedOptions): LastUsed {
  const { file, log, current, writeEveryMs = WRITE_EVERY_MS } = options
  const times = new Map<string, number>()
  let timer: NodeJS.Timeout | undefined
  let writing = Promise.resolve()
  let hasFailed = false

  async function write(): Promise<void> {
    timer = undefined
    try {
      const stored = await readLastUsed(file)
      const byId: Record<string, string> = {}
      for (const { id } of current().values()) {
        const time = Math.max(times.get(id) ?? 0, stored.get(id) ?? 0)
        if (time > 0) byId[id] = new Date(time).toISOString()
      }
      for (const id of times.keys()) if (byId[id] === undefined) times.delete(id)
      await replaceFile(file, `${JSON.stringify(byId)}\n`, { mode: 0o600 })
    } catch (error) {
      if (!hasFailed)
        log.warn({ event: 'last-use-not-stored', file, reason: errorMessage(error) }, 'the last use of machine passwords cannot be stored')
      hasFailed = true
    }
  }

  return {
    note: (id) => {
      times.set(id, Date.now())
      timer ??= setTimeout(() => {
        writing = write()
      }, writeEveryMs).unref()
    },
    close: async () => {
      await writing
      if (timer === undefined) return
      clearTimeout(timer)
      await write()
    },
  }
}

/** Empty if the file is missing or damaged. Rejects with system errors, or InvalidFileError. */
export async function readLastUsed(file: string): Promise<LastUsedTimes> {
  const bytes = await readIfPresent(file, refuseForeign)
  return new Map(
    Object.entries(parseObject(bytes?.toString() ?? '{}')).flatMap(([id, text]) => {
      const time = typeof text === 'string' ? Date.parse(text) : Number.NaN
      return Number.isNaN(time) ? [] : [[id, time] as const]
    }),
  )
}

function parseObject(text: string): object {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? value : {}
  } catch {
    return {}
  }
}
