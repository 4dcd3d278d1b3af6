import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, describe, expect, it } from 'vitest'
import { withFileLock } from '../../src/files/file-lock.ts'
import { CommandError } from '../../src/errors/errors.ts'
import { blockEventLoop } from '../fixtures/block-event-loop.ts'
import { makeTempFolder, removeFolder, tempFolder } from '../fixtures/temp-folder.ts'
import { until } from '../fixtures/until.ts'

const guardedFile = (): string => path.join(tempFolder(), 'htpasswd')

/** Holds the lock until `release`; then `holder` resolves if it was held all the time. */
async function held(file: string) {
  let release = (): void => undefined
  const released = new Promise<void>((resolve) => {
    release = resolve
  })
  const holder = withFileLock(file, async (lock) => {
    await released
    await lock.assertHeld()
  })
  await until(() => existsSync(`${file}.lock`), { deadlineMs: 5_000, what: 'the lock' })
  return {
    holder,
    release: () => {
      release()
    },
  }
}

it.each([
  ['a lock', ['lock']],
  ['a lock and the next', ['lock', 'lock.next']],
  ['a lock and two next ones', ['lock', 'lock.next', 'lock.next.next']],
])(
  '%s left by crashed runs is taken over by one waiter at a time',
  { timeout: 60_000 },
  async (_what, left) => {
    const file = guardedFile()
    for (const name of left) writeFileSync(`${file}.${name}`, 'left behind')
    let inside = 0
    let most = 0
    // So many that some decide to take over while another already does: with fewer a broken lock passes.
    const waiters = Array.from({ length: 150 }, () =>
      withFileLock(
        file,
        async (lock) => {
          most = Math.max(most, ++inside)
          await sleep(2)
          await lock.assertHeld()
          inside--
        },
        { waitMs: 50_000, staleMs: 1_000 },
      ),
    )
    await Promise.all(waiters)
    expect(most).toBe(1)
    expect(readdirSync(path.dirname(file))).toEqual([])
  },
)

// A run makes the lock (step 1) and writes its token (2). One that takes over makes the next lock (1), writes (2), and
// renames it over the one that was left behind (3), or first over the next one that was left behind as well.
describe('runs that end by SIGKILL right after a step', () => {
  // Removed after all of them: a folder of `tempFolder` would end with whichever of the concurrent tests ends first.
  const base = makeTempFolder()
  afterAll(() => {
    removeFolder(base)
  })

  it.concurrent.each([
    [[1]],
    [[2]],
    [[2, 1]],
    [[2, 2]],
    [[2, 3]],
    [[2, 2, 1]],
    [[2, 2, 2]],
    [[2, 2, 3]],
    [[2, 2, 4]],
    [[1, 1, 1, 1]],
  ])('%j leave nothing that the next run does not clear away', async (steps) => {
    const file = path.join(mkdtempSync(path.join(base, 'run-')), 'htpasswd')
    for (const step of steps) {
      expect(await endedAfter(step, file)).toBe('SIGKILL')
      expect(readdirSync(path.dirname(file))).toContain('htpasswd.lock')
    }
    let isInside = false
    await withFileLock(
      file,
      async (lock) => {
        await lock.assertHeld()
        isInside = true
      },
      { waitMs: 20_000, staleMs: 500 },
    )
    expect(isInside).toBe(true)
    expect(readdirSync(path.dirname(file))).toEqual([])
  })
})

/** Takes the lock in a process that ends after this many steps; resolves to the signal that ended it. */
async function endedAfter(step: number, file: string): Promise<NodeJS.Signals | null> {
  const script = `
    import fs from 'node:fs/promises'
    import { syncBuiltinESMExports } from 'node:module'
    const { open, rename } = fs
    let steps = 0
    const afterStep = () => { if (++steps === ${step}) process.kill(process.pid, 'SIGKILL') }
    fs.open = async (path, flags) => {
      const handle = await open(path, flags)
      if (flags !== 'wx') return handle
      afterStep()
      const writeFile = handle.writeFile.bind(handle)
      handle.writeFile = async (text) => { await writeFile(text); afterStep() }
      return handle
    }
    fs.rename = async (from, to) => { await rename(from, to); afterStep() }
    syncBuiltinESMExports()
    const { withFileLock } = await import('./src/files/file-lock.ts')
    await withFileLock(${JSON.stringify(file)}, async () => {}, { waitMs: 20_000, staleMs: 500 })`
  const args = ['--import', 'tsx', '--input-type=module', '--eval', script]
  const child = spawn(process.execPath, args, {
    cwd: path.resolve(import.meta.dirname, '..', '..'),
    stdio: 'inherit',
  })
  const [, signal] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null]
  return signal
}

it('a lock of a living run is waited for, and never taken over', async () => {
  const file = guardedFile()
  const { holder, release } = await held(file)
  const waiting = withFileLock(file, () => Promise.resolve(), { waitMs: 3_000, staleMs: 2_000 })
  await expect(waiting).rejects.toThrow(/held by another run; if there is none, remove .*htpasswd\.lock/)
  release()
  await holder
})

it('a lock is not taken over for a time in which the waiter itself stood still, as the holder may have', async () => {
  const file = guardedFile()
  writeFileSync(`${file}.lock`, 'of another run')
  const waiting = withFileLock(file, () => Promise.resolve(), { waitMs: 50_000, staleMs: 2_000 })
  await sleep(200)
  blockEventLoop(2_500)
  // Long enough to look again.
  await sleep(100)
  expect(readFileSync(`${file}.lock`, 'utf8')).toBe('of another run')
  rmSync(`${file}.lock`)
  await waiting
})

it('a lock that was lost while the process stood still is noticed before anything is written', async () => {
  const file = guardedFile()
  const lost = withFileLock(file, async (lock) => {
    writeFileSync(`${file}.lock`, 'of another run')
    await lock.assertHeld()
  })
  await expect(lost).rejects.toThrow(CommandError)
  await expect(lost).rejects.toThrow('another run took over')
  expect(readFileSync(`${file}.lock`, 'utf8')).toBe('of another run')
})

it('the lock is given back when what it protects fails', async () => {
  const file = guardedFile()
  await expect(withFileLock(file, () => Promise.reject(new Error('no')))).rejects.toThrow('no')
  expect(existsSync(`${file}.lock`)).toBe(false)
})
