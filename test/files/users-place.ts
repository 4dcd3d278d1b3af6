// Creates a users file in its own folder, follows it through a change, and reports the outcome.

import { hashSync } from 'bcryptjs'
import { mkdirSync, readFileSync, realpathSync, symlinkSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { PassThrough } from 'node:stream'
import { setTimeout as pause } from 'node:timers/promises'
import { parseHtpasswd } from '../../src/users/htpasswd.ts'
import type { UserTable } from '../../src/users/user-table.ts'
import { createLog } from '../../src/observability/log.ts'
import { loadUsers, type Users } from '../../src/users/users.ts'
import { makeTempFolder, removeFolder } from '../fixtures/temp-folder.ts'
import { until } from '../fixtures/until.ts'

/** How the path leads to the users file: directly, by a symlink, by `..data` of a ConfigMap, by a linked folder. */
export type Layout = 'plain' | 'symlink' | 'ConfigMap' | 'linked folder'

export const ALICE_LINE = `alice:${hashSync('correct horse', 4)}\n`
export const BOB_LINE = `bob:${hashSync('hunter two', 4)}\n`
export const BEFORE = ALICE_LINE + BOB_LINE

export interface Place {
  /** The folder that contains all paths of this place. */
  readonly base: string
  /** The path in the settings of the sidecar. */
  readonly file: string
  readonly remove: () => void
}

/** A users file with the content BEFORE. */
export function createPlace(layout: Layout): Place {
  const base = realpathSync(makeTempFolder())
  const at = (...parts: string[]) => path.join(base, ...parts)
  const content = layout === 'plain' ? at('users') : at(layout === 'ConfigMap' ? 'users/..2024_01' : 'real')
  mkdirSync(content, { recursive: true })
  writeFileSync(path.join(content, 'htpasswd'), BEFORE)
  if (layout === 'symlink') {
    mkdirSync(at('users'))
    symlinkSync('../real/htpasswd', at('users/htpasswd'))
  }
  if (layout === 'ConfigMap') {
    symlinkSync('..2024_01', at('users/..data'))
    symlinkSync('..data/htpasswd', at('users/htpasswd'))
  }
  if (layout === 'linked folder') symlinkSync('real', at('users'))
  return {
    base,
    file: at('users/htpasswd'),
    remove: () => {
      removeFolder(base)
    },
  }
}

export interface Outcome {
  /** Time from the end of the change until its users are in force; 0 if they were in force before its end. */
  readonly tookMs: number
  /** How many tables came into force. More than one means that an intermediate state came into force. */
  readonly swaps: number
  /** The names in force at the end. */
  readonly names: readonly string[]
  readonly isFresh: boolean
}

// chokidar also reports symlinks that existed before, and that causes one more look. The change must come after that
// look, so that only the change itself can be noticed.
const FIRST_LOOKS_MS = 150

export interface Course {
  readonly change: () => Promise<void>
  readonly pollMs: number | 'off'
  readonly deadlineMs: number
  /** Additional wait before the change. It shifts the change nearer to the next poll. */
  readonly phaseMs?: number
}

/** Follows a users file through one change. Rejects when it is not in force within `deadlineMs`. */
export async function outcomeOf(
  place: Place,
  { change, pollMs, deadlineMs, phaseMs = 0 }: Course,
): Promise<Outcome> {
  const swaps = { count: 0 }
  const users = await loadUsers({ file: place.file, pollMs, log: logThatCounts(swaps) })
  try {
    await pause(FIRST_LOOKS_MS + phaseMs)
    const [loaded, before] = [swaps.count, entriesAsText(users.table)]
    await change()
    const wanted = entriesAsText(parseHtpasswd(readFileSync(place.file), place.file))
    if (wanted === before) throw new Error('the change changed nothing')
    const isInForce = () => entriesAsText(users.table) === wanted
    const tookMs = isInForce() ? 0 : await until(isInForce, { deadlineMs, what: 'the change is in force' })
    // Users are in force before the log line. Closing waits for a running reload.
    await users.close()
    return {
      tookMs,
      swaps: swaps.count - loaded,
      names: namesIn(users),
      isFresh: users.state.kind === 'fresh',
    }
  } finally {
    await users.close()
  }
}

function namesIn(users: Users): readonly string[] {
  return [...users.table.entries.keys()]
}

function entriesAsText({ entries }: UserTable): string {
  return JSON.stringify([...entries.values()])
}

function logThatCounts(swaps: { count: number }) {
  const destination = new PassThrough()
  destination.on('data', (chunk: Buffer) => {
    swaps.count += chunk.toString().split('"users in force"').length - 1
  })
  return createLog({ level: 'info', format: 'json', destination })
}
