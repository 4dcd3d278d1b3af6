// Logs which users a reload added, removed and changed.

import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Entry, MachinePassword, UserTable } from './user-table.ts'
import type { Log } from '../observability/log.ts'

const MAX_LISTED = 20

// A table may contain 100,000 users; looking up this many takes about a millisecond.
const NAMES_PER_TURN = 5_000

export interface UserTableChange {
  readonly file: string
  readonly next: UserTable
  readonly previous: UserTable
  readonly isStart: boolean
}

/** Logs names and reasons, never a hash. */
export async function logUserChanges(log: Log, change: UserTableChange): Promise<void> {
  const { file, next, previous, isStart } = change
  const now = Date.now()
  const listOf = (event: 'user-added' | 'user-removed' | 'user-changed', sentence: string) =>
    createNameList((user) => {
      if (!isStart) log.debug({ event, file, user }, sentence)
    })
  const added = listOf('user-added', 'a user was added')
  const removed = listOf('user-removed', 'a user was removed')
  const changed = listOf('user-changed', 'the password of a user was changed')
  await visitInTurns(next.entries, (name, entry) => {
    const before = previous.entries.get(name)
    if (before === undefined) added.add(name)
    else if (!isSameEntry(before, entry, now)) changed.add(name)
  })
  await visitInTurns(previous.entries, (name) => {
    if (!next.entries.has(name)) removed.add(name)
  })
  const machinePasswords = machinePasswordChanges(log, change)
  const users = next.entries.size
  const names = { added: added.names, removed: removed.names, changed: changed.names }
  const counts = { added: added.count, removed: removed.count, changed: changed.count }
  log.info({ event: 'users-loaded', file, users, ...names, counts, machinePasswords }, 'users in force')
  logProblems(log, file, next)
  if (users === 0) log.warn({ event: 'users-file-empty', file }, 'the users file has no users: nobody gets in')
}

function machinePasswordChanges(log: Log, { file, next, previous, isStart }: UserTableChange) {
  const [added, removed] = [createNameList(), createNameList()]
  for (const { id, username: user } of missingIn(previous, next)) {
    added.add(id)
    if (!isStart)
      log.debug(
        { event: 'machine-password-added', file, user, machinePassword: id },
        'a machine password was added',
      )
  }
  for (const { id, username: user } of missingIn(next, previous)) {
    removed.add(id)
    log.debug(
      { event: 'machine-password-removed', file, user, machinePassword: id },
      'a machine password was removed',
    )
  }
  if (added.count + removed.count === 0) return undefined
  const counts = { added: added.count, removed: removed.count }
  return { added: added.names, removed: removed.names, counts }
}

function missingIn(one: UserTable, other: UserTable): readonly MachinePassword[] {
  return [...other.machinePasswords].flatMap(([digest, password]) =>
    one.machinePasswords.has(digest) ? [] : [password],
  )
}

function logProblems(log: Log, file: string, { problems }: UserTable): void {
  for (const { line, reason } of problems.slice(0, MAX_LISTED))
    log.warn({ event: 'users-line-skipped', file, line, reason }, 'line of the users file skipped')
  const more = problems.length - MAX_LISTED
  if (more > 0) log.warn({ event: 'more-users-lines-skipped', file, more }, 'more lines of the users file skipped')
}

interface NameList {
  readonly names: readonly string[]
  readonly count: number
  readonly add: (name: string) => void
}

function createNameList(onAdd?: (name: string) => void): NameList {
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
      onAdd?.(name)
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
