// Locks a file between processes, with a lock file beside it.
//
// The holder touches its lock file every second. A waiter takes over a lock file that a crashed run left untouched.
// Two waiters must not take over at once, because the second would remove the fresh lock of the first.
// So a waiter first creates the file `.lock.next`, which only one waiter can do. Then it checks that the old lock
// is unchanged, and renames `.lock.next` to `.lock`. Waiters take over a stale `.lock.next` in the same way.

import { setTimeout as sleep } from 'node:timers/promises'

import { CommandError } from '../errors/errors.ts'
import { createLockFile, observeLockFile, type HeldLock } from './lock-file.ts'

/** Call `assertHeld` right before the write that the lock protects. */
export type FileLock = Pick<HeldLock, 'assertHeld'>

export interface LockTimes {
  readonly waitMs: number
  readonly staleMs: number
}

// An edit takes milliseconds. Ten seconds are enough for a hundred scripted edits, and for a stale lock.
const DEFAULT_TIMES: LockTimes = { waitMs: 10_000, staleMs: 4_000 }
const POLL_MS = 30
// If this process was suspended, the holder may have been suspended too. So a pause does not make a lock stale.
const MOST_MS_PER_LOOK = 500

/** Rejects with a CommandError after `waitMs`. */
export async function withFileLock<T>(
  file: string,
  action: (lock: FileLock) => Promise<T>,
  times: LockTimes = DEFAULT_TIMES,
): Promise<T> {
  const lock = await acquire(`${file}.lock`, times)
  try {
    return await action(lock)
  } finally {
    await lock.release()
  }
}

async function acquire(path: string, { waitMs, staleMs }: LockTimes): Promise<HeldLock> {
  const deadline = performance.now() + waitMs
  const waiter = createWaiter(path, staleMs)
  while (performance.now() < deadline) {
    await waiter.look()
    const lock = await waiter.attempt()
    if (lock) return lock
    await sleep(POLL_MS * (0.5 + Math.random()))
  }
  throw new CommandError(
    `${path} is held by another process; if none is running, remove ${path} and ${nextOf(path)} and try again`,
  )
}

interface Waiter {
  /** Call it before each attempt: it measures how long the lock is untouched. */
  look(): Promise<void>
  attempt(): Promise<HeldLock | undefined>
}

function createWaiter(path: string, staleMs: number): Waiter {
  const watch = createLockWatch(path, staleMs)
  let next: Waiter | undefined
  const getNext = (): Waiter => (next ??= createWaiter(nextOf(path), staleMs))

  return {
    async look() {
      await watch.look()
      // Both locks are watched at the same time. Otherwise each stale lock would add its own waiting time.
      if (watch.state !== undefined) await getNext().look()
    },
    async attempt() {
      const lock = await createLockFile(path)
      const stale = watch.staleState()
      if (lock !== undefined || stale === undefined) return lock
      const nextLock = await getNext().attempt()
      return nextLock && takeOver(path, { stale, nextLock })
    },
  }
}

interface LockWatch {
  readonly state: string | undefined
  look(): Promise<void>
  staleState(): string | undefined
}

function createLockWatch(path: string, staleMs: number): LockWatch {
  let state: string | undefined
  let [untouchedMs, lastLook] = [0, 0]
  return {
    get state() {
      return state
    },
    async look() {
      const seen = await observeLockFile(path)
      // Measures with the clock of this machine, because clocks of machines that share a folder may differ.
      const now = performance.now()
      untouchedMs = seen === state ? untouchedMs + Math.min(now - lastLook, MOST_MS_PER_LOOK) : 0
      state = seen
      lastLook = now
    },
    staleState: () => (untouchedMs >= staleMs ? state : undefined),
  }
}

interface Takeover {
  readonly stale: string
  readonly nextLock: HeldLock
}

async function takeOver(path: string, { stale, nextLock }: Takeover): Promise<HeldLock | undefined> {
  let isTaken = false
  try {
    isTaken = (await observeLockFile(path)) === stale && (await nextLock.moveTo(path))
  } finally {
    if (!isTaken) await nextLock.release()
  }
  return isTaken ? nextLock : undefined
}

function nextOf(path: string): string {
  return `${path}.next`
}
