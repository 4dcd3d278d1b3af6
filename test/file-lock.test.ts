import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { withFileLock } from '../src/file-lock.ts'
import { CommandError } from '../src/errors.ts'
import { tempFolder } from './fixtures/temp-folder.ts'

const guardedFile = (): string => path.join(tempFolder(), 'htpasswd')

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
  const finished = new AbortController()
  const holder = withFileLock(file, async (lock) => {
    await expect.poll(() => finished.signal.aborted, { timeout: 10_000 }).toBe(true)
    await lock.assertHeld()
  })
  await expect.poll(() => existsSync(`${file}.lock`)).toBe(true)
  const waiting = withFileLock(file, () => Promise.resolve(), { waitMs: 3_000, staleMs: 2_000 })
  await expect(waiting).rejects.toThrow(/held by another run; if there is none, remove .*htpasswd\.lock/)
  finished.abort()
  await holder
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
