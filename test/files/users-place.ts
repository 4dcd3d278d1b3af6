// A users file in a folder of its own, the users that follow it, and what became of a change.

import { hashSync } from 'bcryptjs'
import { mkdirSync, readFileSync, realpathSync, symlinkSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { PassThrough } from 'node:stream'
import { setTimeout as pause } from 'node:timers/promises'
import { parseHtpasswd, type UserTable } from '../../src/users/htpasswd.ts'
import { createLog } from '../../src/observability/log.ts'
import { loadUsers, type Users } from '../../src/users/users.ts'
import { makeTempFolder, removeFolder } from '../fixtures/temp-folder.ts'
import { until } from '../fixtures/until.ts'

/** What leads to the users file: itself, a symlink to it, the `..data` of a ConfigMap, or a symlink to its folder. */
export type Layout = 'plain' | 'symlink' | 'ConfigMap' | 'linked folder'

export const ALICE_LINE = `alice:${hashSync('correct horse', 4)}\n`
export const BOB_LINE = `bob:${hashSync('hunter two', 4)}\n`
export const BEFORE = ALICE_LINE + BOB_LINE

export interface Place {
  /** Paths of this place are in it. */
  readonly base: string
  /** What the sidecar is told. */
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
  /** From the end of the change until the users in force are those of the file; 0 when they were before. */
  readonly tookMs: number
  /** How many tables were put in force: more than one means that a state nobody meant was among them. */
  readonly swaps: number
  /** The names in force at the end, and the whole of it in a form that can be compared. */
  readonly names: readonly string[]
  readonly isFresh: boolean
}

// chokidar reports symlinks that were there before, which brings on one more look. What is to be shown is that the
// change itself is noticed.
const FIRST_LOOKS_MS = 150

export interface Course {
  readonly change: () => Promise<void>
  readonly pollMs: number | 'off'
  readonly deadlineMs: number
  /** How long to wait longer than need be before the change: the next poll comes the sooner. */
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
    const [loaded, before] = [swaps.count, likenessOf(users.table)]
    await change()
    const wanted = likenessOf(parseHtpasswd(readFileSync(place.file), place.file))
    if (wanted === before) throw new Error('the change changed nothing')
    const isInForce = () => likenessOf(users.table) === wanted
    const tookMs = isInForce() ? 0 : await until(isInForce, { deadlineMs, what: 'the change is in force' })
    // Users are in force before that is logged. Closing waits for what is under way.
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

function likenessOf({ entries }: UserTable): string {
  return JSON.stringify([...entries.values()])
}

function logThatCounts(swaps: { count: number }) {
  const destination = new PassThrough()
  destination.on('data', (chunk: Buffer) => {
    swaps.count += chunk.toString().split('"users in force"').length - 1
  })
  return createLog({ level: 'info', format: 'json', destination })
}
