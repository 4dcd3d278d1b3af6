import { renameSync, writeFileSync } from 'node:fs'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { bindingOf, formatKeptLine } from '../../src/users/old-password-line.ts'
import { parseHtpasswd } from '../../src/users/htpasswd.ts'
import { machinePasswordDigest } from '../../src/users/machine-passwords/machine-secret.ts'
import { loadUsers, type Users } from '../../src/users/users.ts'
import { largeUsersFile } from '../fixtures/large-users-file.ts'
import { machinePasswordFor } from '../fixtures/machine-password.ts'
import { recordedLog } from '../fixtures/recorded-log.ts'
import { ALICE_ENTRY } from '../fixtures/sidecar.ts'
import { tempFolder } from '../fixtures/temp-folder.ts'
import { until } from '../fixtures/until.ts'

const BOB_ENTRY = ALICE_ENTRY.replace('alice', 'bob')
const OTHER_ALICE_ENTRY = ALICE_ENTRY.replace(/.$/m, (last) => (last === 'a' ? 'b' : 'a'))
const HOUR_MS = 3_600_000
const LINES = 100_000
// More than a log line lists.
const MANY = 2_000

interface LoggedUsers extends Users {
  readonly put: (text: string) => void
  readonly lines: readonly Record<string, unknown>[]
}

async function usersOf(text: string): Promise<LoggedUsers> {
  const file = `${tempFolder()}/htpasswd`
  const put = (next: string) => {
    writeFileSync(`${file}.new`, next)
    renameSync(`${file}.new`, file)
  }
  put(text)
  const { log, lines } = recordedLog()
  const users = await loadUsers({ file, pollMs: 'off', log })
  onTestFinished(() => users.close())
  return Object.assign(Object.create(users) as Users, { put, lines })
}

describe('every reload', () => {
  it('logs the names of added, removed and changed users', async () => {
    const users = await usersOf(ALICE_ENTRY + BOB_ENTRY)
    users.put(OTHER_ALICE_ENTRY + ALICE_ENTRY.replace('alice', 'carol'))

    await users.reload()

    expect(users.lines).toMatchObject([
      { users: 2, added: ['alice', 'bob'], removed: [], changed: [] },
      { users: 2, added: ['carol'], removed: ['bob'], changed: ['alice'] },
    ])
    expect(JSON.stringify(users.lines)).not.toContain('$2')
  })
})

describe('a machine password', () => {
  it('is logged by its id when it comes and goes, and never by its digest', async () => {
    const { id, secret, line } = machinePasswordFor(ALICE_ENTRY, { allow: ['pull'], validForMs: 30 * 24 * HOUR_MS })
    const users = await usersOf(ALICE_ENTRY)
    for (const text of [ALICE_ENTRY + line, ALICE_ENTRY]) {
      users.put(text)
      await users.reload()
    }
    const counts = { added: 0, removed: 0 }
    expect(users.lines.map(({ machinePasswords }) => machinePasswords)).toEqual([
      undefined,
      { added: [id], removed: [], counts: { ...counts, added: 1 } },
      { added: [], removed: [id], counts: { ...counts, removed: 1 } },
    ])
    expect(JSON.stringify(users.lines)).not.toContain(machinePasswordDigest(secret))
  })
})

describe('a kept old password', () => {
  const keptUntil = (validUntil: number) => {
    const [username = '', hash = ''] = ALICE_ENTRY.trimEnd().split(':')
    return `${formatKeptLine({ username, hash, validUntil, binding: bindingOf(hash) })}\n`
  }

  it.each([
    ['is kept', '', keptUntil(Date.now() + HOUR_MS)],
    ['is kept for longer', keptUntil(Date.now() + HOUR_MS), keptUntil(Date.now() + 2 * HOUR_MS)],
    ['is kept no longer', keptUntil(Date.now() + HOUR_MS), ''],
  ])('is logged as a change of its user when it %s', async (_, before, after) => {
    const users = await usersOf(ALICE_ENTRY + before)
    users.put(ALICE_ENTRY + after)

    await users.reload()

    expect(users.lines.at(-1)).toMatchObject({ added: [], removed: [], changed: ['alice'] })
  })

  it('is not logged as a change when it expired and another user is added', async () => {
    vi.useFakeTimers({ toFake: ['Date'] })
    onTestFinished(() => {
      vi.useRealTimers()
    })
    const users = await usersOf(ALICE_ENTRY + keptUntil(Date.now() + HOUR_MS))
    expect(users.table.entries.get('alice')?.previous).toHaveLength(1)
    vi.setSystemTime(Date.now() + HOUR_MS)
    users.put(ALICE_ENTRY + keptUntil(Date.now() - 1) + BOB_ENTRY)

    await users.reload()

    expect(users.lines.at(-1)).toMatchObject({ added: ['bob'], removed: [], changed: [] })
  })
})

describe('a large users file', () => {
  it('of 100,000 lines comes into force soon, and blocks the event loop only for short times', { timeout: 120_000 }, async () => {
    const rounds: Round[] = []
    const [heldUpMs, inOneGoMs] = [leastOf(rounds, 'heldUpMs'), leastOf(rounds, 'inOneGoMs')]
    // Other load on this machine can only increase a time, so the smallest time is the best measurement.
    while (rounds.length === 0 || (rounds.length < 5 && heldUpMs() > inOneGoMs() / 2)) {
      rounds.push(await loadAndReload())
    }
    console.log(
      `loaded in ${rounds[0]?.loadMs.toFixed(0) ?? ''} ms, reloaded ${rounds[0]?.reloadMs.toFixed(0) ?? ''} ms after ` +
        `the rename, event loop held up for ${heldUpMs().toFixed(0)} ms at most, parsed in one go ` +
        `${inOneGoMs().toFixed(0)} ms; ${rounds.length} rounds`,
    )
    // The benchmark checks the required times. Here other tests run at the same time.
    expect(heldUpMs()).toBeLessThan(inOneGoMs() / 2)
  })

  it('does not fill the log', { timeout: 60_000 }, async () => {
    const users = await usersOf(largeUsersFile(MANY) + 'no colon\n'.repeat(1_000))
    users.put(ALICE_ENTRY + BOB_ENTRY)
    await users.reload()

    const [first, second] = users.lines.filter(({ msg }) => msg === 'users in force')
    expect(first).toMatchObject({ users: MANY, counts: { added: MANY, removed: 0, changed: 0 } })
    expect(first?.['added']).toHaveLength(20)
    expect(second).toMatchObject({ added: ['bob'], counts: { added: 1, removed: MANY - 1, changed: 0 } })
    expect(second?.['removed']).toHaveLength(20)
    expect(users.lines.find(({ more }) => more === 980)).toMatchObject({
      msg: 'more lines of the users file skipped',
    })
    expect(JSON.stringify(users.lines).length).toBeLessThan(10_000)
  })
})

interface Round {
  readonly loadMs: number
  readonly reloadMs: number
  /** The longest time for which the event loop was blocked. */
  readonly heldUpMs: number
  /** How long it takes to parse one of the files without a pause. */
  readonly inOneGoMs: number
}

function leastOf(rounds: readonly Round[], figure: keyof Round): () => number {
  return () => Math.min(...rounds.map((round) => round[figure]))
}

async function loadAndReload(): Promise<Round> {
  const [text, other] = [largeUsersFile(LINES), largeUsersFile(LINES, 'b')]
  const bytes = Buffer.from(text)
  const inOneGoMs = timeOf(() => parseHtpasswd(bytes, 'htpasswd'))
  const delay = monitorEventLoopDelay({ resolution: 1 })
  delay.enable()
  const start = performance.now()
  const users = await usersOf(text)
  const loadMs = performance.now() - start
  users.put(other)
  const reloadMs = await until(() => users.table.entries.get('user-7')?.hash.endsWith('b') === true, {
    deadlineMs: 10_000,
    what: 'the other file is in force',
  })
  await users.reload()
  delay.disable()
  expect(users.table.entries.size).toBe(LINES)
  await users.close()
  return { loadMs, reloadMs, heldUpMs: delay.max / 1e6, inOneGoMs }
}

function timeOf(action: () => unknown): number {
  const start = performance.now()
  action()
  return performance.now() - start
}

describe('close()', () => {
  it('waits for a running reload, and afterwards nothing is logged or replaced', async () => {
    const users = await usersOf(largeUsersFile(20_000))
    users.put(largeUsersFile(20_000, 'b'))
    let isReloaded = false
    const reloading = users.reload().then(() => (isReloaded = true))

    await users.close()
    const [lines, table] = [users.lines.length, users.table]
    expect(isReloaded).toBe(true)
    await reloading
    users.put(ALICE_ENTRY)
    await new Promise((resolve) => setImmediate(resolve))

    expect(users.lines).toHaveLength(lines)
    expect(users.table).toBe(table)
  })
})
