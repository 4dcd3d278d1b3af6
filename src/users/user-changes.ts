// Logs which users a reload added, removed and changed.

import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Entry, MachinePasswords, UserTable } from './user-table.ts'
import type { Log } from '../observability/log.ts'

const MAX_LISTED = 20

// A table may contain 100,000 users; looking up this many takes about a millisecond.
const NAMES_PER_TURN = 5_000

export interface UserTableChange {
  readonly file: string
  readonly next: UserTable
  readonly previous: UserTable
}

/** Logs names and reasons, never a hash. */
export async function logUserChanges(log: Log, { file, next, previous }: UserTableChange): Promise<void> {
  const now = Date.now()
  const [added, removed, changed] = [createNameList(), createNameList(), createNameList()]
  await visitInTurns(next.entries, (name, entry) => {
    const before = previous.entries.get(name)
    if (before === undefined) added.add(name)
    else if (!isSameEntry(before, entry, now)) changed.add(name)
  })
  await visitInTurns(previous.entries, (name) => {
    if (!next.entries.has(name)) removed.add(name)
  })
  const machinePasswords = machinePasswordChanges(next.machinePasswords, previous.machinePasswords)
  const users = next.entries.size
  const names = { added: added.names, removed: removed.names, changed: changed.names }
  const counts = { added: added.count, removed: removed.count, changed: changed.count }
  log.info({ file, users, ...names, counts, machinePasswords }, 'users in force')
  logProblems(log, file, next)
  if (users === 0) log.warn({ file }, 'the users file has no users: nobody gets in')
}

/** The ids that were added and removed, or undefined if there are none. */
function machinePasswordChanges(next: MachinePasswords, previous: MachinePasswords) {
  const [added, removed] = [createNameList(), createNameList()]
  for (const [digest, { id }] of next) if (!previous.has(digest)) added.add(id)
  for (const [digest, { id }] of previous) if (!next.has(digest)) removed.add(id)
  if (added.count + removed.count === 0) return undefined
  const counts = { added: added.count, removed: removed.count }
  return { added: added.names, removed: removed.names, counts }
}

function logProblems(log: Log, file: string, { problems }: UserTable): void {
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

async function visitInTurns(
  entries: ReadonlyMap<string, Entry>,
  visit: (name: string, entry: Entry) => void,
): Promise<void> {
  let visited = 0
  for (const [name, entry] of entries) {
    if (++visited % NAMES_PER_TURN === 0) await nextTurn()
    visit(name, entry)
  }
}

// An expired old password is no change: it may be in the previous table, but is left out of the next one.
function isSameEntry(one: Entry, other: Entry, now: number): boolean {
  return one.hash === other.hash && keptAt(one, now) === keptAt(other, now)
}

function keptAt({ previous }: Entry, now: number): string {
  const valid = previous.filter(({ validUntil }) => now < validUntil)
  return valid.map(({ hash, validUntil }) => `${hash} ${validUntil}`).join(' ')
}
