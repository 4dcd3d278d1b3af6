import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { withFileLock } from '../src/file-lock.ts'
import { CommandError } from '../src/errors.ts'
import { standStill } from './fixtures/stand-still.ts'
import { tempFolder } from './fixtures/temp-folder.ts'
import { until } from './fixtures/until.ts'

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

it('a lock left by a crashed run is taken over by one waiter at a time', async () => {
  const file = guardedFile()
  writeFileSync(`${file}.lock`, 'left behind')
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
}, 60_000)

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
  standStill(2_500)
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
