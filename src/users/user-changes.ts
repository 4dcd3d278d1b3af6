// What a reload changed, in names: whoever edits the users file sees in the log that it took effect.
//
// A table may hold 100,000 users. So tables are compared with pauses in which requests are served, and lists end early.

import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Entry, UserTable } from './htpasswd.ts'
import type { Log } from '../observability/log.ts'

// What a person still reads; the counts say how many there are.
const MAX_LISTED = 20

// Looking this many names up takes about a millisecond.
const NAMES_PER_TURN = 5_000

export interface Change {
  readonly file: string
  readonly next: UserTable
  readonly previous: UserTable
}

/** Logs who was added, removed and changed, and which lines were skipped: names and reasons, never a hash. */
export async function tellChange(log: Log, { file, next, previous }: Change): Promise<void> {
  const now = Date.now()
  const [added, removed, changed] = [createNameList(), createNameList(), createNameList()]
  await inTurns(next.entries, (name, entry) => {
    const before = previous.entries.get(name)
    if (before === undefined) added.add(name)
    else if (!isSameEntry(before, entry, now)) changed.add(name)
  })
  await inTurns(previous.entries, (name) => {
    if (!next.entries.has(name)) removed.add(name)
  })
  const users = next.entries.size
  const names = { added: added.names, removed: removed.names, changed: changed.names }
  const counts = { added: added.count, removed: removed.count, changed: changed.count }
  log.info({ file, users, ...names, counts }, 'users in force')
  tellProblems(log, file, next)
  if (users === 0) log.warn({ file }, 'the users file has no users: nobody gets in')
}

function tellProblems(log: Log, file: string, { problems }: UserTable): void {
  for (const { line, reason } of problems.slice(0, MAX_LISTED))
    log.warn({ file, line, reason }, 'line of the users file skipped')
  const more = problems.length - MAX_LISTED
  if (more > 0) log.warn({ file, more }, 'more lines of the users file skipped')
}

interface NameList {
  readonly names: readonly string[]
  readonly count: number
  readonly add: (name: string) => void
}

function createNameList(): NameList {
  const names: string[] = []
  let count = 0
  return {
    names,
    get count() {
      return count
    },
    add(name) {
      count++
      if (names.length < MAX_LISTED) names.push(name)
    },
  }
}

async function inTurns(
  entries: ReadonlyMap<string, Entry>,
  visit: (name: string, entry: Entry) => void,
): Promise<void> {
  let visited = 0
  for (const [name, entry] of entries) {
    if (++visited % NAMES_PER_TURN === 0) await nextTurn()
    visit(name, entry)
  }
}

// An old password that stays valid, for longer or no longer, is a change of who gets in, too. One whose time ran out is
// none: it may still be in the table before, but is left out of the one after.
function isSameEntry(one: Entry, other: Entry, now: number): boolean {
  return one.hash === other.hash && keptAt(one, now) === keptAt(other, now)
}

function keptAt({ previous }: Entry, now: number): string {
  const valid = previous.filter(({ validUntil }) => now < validUntil)
  return valid.map(({ hash, validUntil }) => `${hash} ${validUntil}`).join(' ')
}
