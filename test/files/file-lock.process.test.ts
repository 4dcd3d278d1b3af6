import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { withFileLock } from '../../src/files/file-lock.ts'
import { CommandError } from '../../src/errors/errors.ts'
import { blockEventLoop } from '../fixtures/block-event-loop.ts'
import { compileModule, type CompiledModule } from '../fixtures/compiled-module.ts'
import { isStress } from '../fixtures/repetitions.ts'
import { tempFolder } from '../fixtures/temp-folder.ts'
import { until } from '../fixtures/until.ts'

let compiled: CompiledModule

beforeAll(() => {
  compiled = compileModule('src/files/file-lock.ts')
})

afterAll(() => {
  compiled.remove()
})

const guardedFile = (onFinished = onTestFinished): string => path.join(tempFolder(onFinished), 'htpasswd')

/** Holds the lock until `release`. Then `holder` resolves if nobody else took the lock in that time. */
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

const ONE_LEFT = ['a lock', ['lock']] as const
const MORE_LEFT = [
  ['a lock and its next lock', ['lock', 'lock.next']],
  ['a lock and two next locks', ['lock', 'lock.next', 'lock.next.next']],
] as const

it.each([ONE_LEFT, ...(isStress ? MORE_LEFT : [])])(
  '%s left by crashed runs: one waiter at a time takes it over',
  { timeout: 60_000 },
  async (_what, left) => {
    const file = guardedFile()
    for (const name of left) writeFileSync(`${file}.${name}`, 'left behind')
    let inside = 0
    let most = 0
    // With fewer waiters this test passes with a broken lock. Several must decide to take over at the same time.
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

// Concurrent with the runs below, because it mostly waits.
it.concurrent(
  'a waiter never takes over the lock of a running process',
  async ({ onTestFinished: onFinished }) => {
    const file = guardedFile(onFinished)
    const { holder, release } = await held(file)
    const waiting = withFileLock(file, () => Promise.resolve(), { waitMs: 3_000, staleMs: 2_000 })
    await expect(waiting).rejects.toThrow(
      /held by another process; if none is running, remove .*htpasswd\.lock/,
    )
    release()
    await holder
  },
)

// A run creates the lock (step 1) and writes its token (2). A run that takes over creates the next lock (1), writes
// (2), and renames it over the stale lock (3). If there is a stale next lock, it renames over that one first.
describe.concurrent('runs that end by SIGKILL right after a step', () => {
  it.for<[steps: readonly number[]]>([
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
  ])('%j leave only files that the next run removes', async ([steps], { onTestFinished: onFinished }) => {
    const file = guardedFile(onFinished)
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

/** Takes the lock in a process that is killed after this many steps. Resolves to the signal. */
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
    const { withFileLock } = await import('${compiled.file}')
    await withFileLock(${JSON.stringify(file)}, async () => {}, { waitMs: 20_000, staleMs: 500 })`
  const child = spawn(process.execPath, ['--input-type=module', '--eval', script], { stdio: 'inherit' })
  const [, signal] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null]
  return signal
}

it('the time in which a waiter stood still does not count, because the holder may have stood still too', async () => {
  const file = guardedFile()
  writeFileSync(`${file}.lock`, 'of another run')
  const waiting = withFileLock(file, () => Promise.resolve(), { waitMs: 50_000, staleMs: 1_500 })
  await sleep(200)
  blockEventLoop(1_800)
  // Long enough to look again.
  await sleep(100)
  expect(readFileSync(`${file}.lock`, 'utf8')).toBe('of another run')
  rmSync(`${file}.lock`)
  await waiting
})

it('a process that lost its lock while it stood still notices that before it writes', async () => {
  const file = guardedFile()
  const lost = withFileLock(file, async (lock) => {
    writeFileSync(`${file}.lock`, 'of another run')
    await lock.assertHeld()
  })
  await expect(lost).rejects.toThrow(CommandError)
  await expect(lost).rejects.toThrow('another process took over')
  expect(readFileSync(`${file}.lock`, 'utf8')).toBe('of another run')
})

it('the lock is released when the protected action fails', async () => {
  const file = guardedFile()
  await expect(withFileLock(file, () => Promise.reject(new Error('no')))).rejects.toThrow('no')
  expect(existsSync(`${file}.lock`)).toBe(false)
})
