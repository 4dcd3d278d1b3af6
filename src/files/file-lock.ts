// Locks a file between processes, with a lock file beside it.
//
// The holder touches its lock file every second. A lock file that nobody touches was left by a run that crashed, and a
// waiter takes it over. Two waiters must not do that at once, because the second would remove the fresh lock of the
// first. So a waiter first creates the *next* lock, exclusively. Then it checks that the old lock is still the one it
// saw, and renames the next lock over it. Before that rename nobody else can create a next lock; after it, everyone sees
// a touched lock. The next lock is a lock like the first: if a run crashes before the rename, a waiter takes the next
// lock over by the same steps, with a next lock of its own.

import { setTimeout as sleep } from 'node:timers/promises'

import { CommandError } from '../errors/errors.ts'
import { createLockFile, observeLockFile, type HeldLock } from './lock-file.ts'

/** `assertHeld` is for right before the write that the lock protects. */
export type FileLock = Pick<HeldLock, 'assertHeld'>

export interface LockTimes {
  /** How long to wait for a lock that is in use. */
  readonly waitMs: number
  /** How long a lock may stay untouched before it counts as left behind. */
  readonly staleMs: number
}

// An edit holds the lock for milliseconds. Ten seconds are enough for a hundred scripted edits, and for a stale lock.
const DEFAULT_TIMES: LockTimes = { waitMs: 10_000, staleMs: 4_000 }
const POLL_MS = 30
// Each look adds at most this much untouched time. If this process or the machine stood still for seconds, the holder may
// have stood still too, and touches its lock now.
const MOST_MS_PER_LOOK = 500

/** Runs `action` while no other process holds the lock of `file`. Rejects with a CommandError after `waitMs`. */
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
  const contender = createContender(path, staleMs)
  while (performance.now() < deadline) {
    await contender.look()
    const lock = await contender.attempt()
    if (lock) return lock
    await sleep(POLL_MS * (0.5 + Math.random()))
  }
  throw new CommandError(
    `${path} is held by another run; if there is none, remove ${path} and ${nextOf(path)} and try again`,
  )
}

/** The attempts of one run to get one lock. */
interface Contender {
  /** Goes before each attempt, because untouched time counts from look to look. */
  look(): Promise<void>
  attempt(): Promise<HeldLock | undefined>
}

function createContender(path: string, staleMs: number): Contender {
  const watch = createLockWatch(path, staleMs)
  let next: Contender | undefined
  const getNext = (): Contender => (next ??= createContender(nextOf(path), staleMs))

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
      const claim = await getNext().attempt()
      return claim && takeOver(path, { stale, claim })
    },
  }
}

interface LockWatch {
  /** What the last look saw; undefined where there was no lock. */
  readonly state: string | undefined
  look(): Promise<void>
  /** The state of a lock that has not been touched for `staleMs`. */
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
      // Our own clock counts, not the time of the file: machines that share a folder may disagree about the time.
      const now = performance.now()
      untouchedMs = seen === state ? untouchedMs + Math.min(now - lastLook, MOST_MS_PER_LOOK) : 0
      state = seen
      lastLook = now
    },
    staleState: () => (untouchedMs >= staleMs ? state : undefined),
  }
}

interface Takeover {
  /** The state of the stale lock. */
  readonly stale: string
  /** The next lock, which we hold. */
  readonly claim: HeldLock
}

async function takeOver(path: string, { stale, claim }: Takeover): Promise<HeldLock | undefined> {
  let isTaken = false
  try {
    isTaken = (await observeLockFile(path)) === stale && (await claim.moveTo(path))
  } finally {
    if (!isTaken) await claim.release()
  }
  return isTaken ? claim : undefined
}

function nextOf(path: string): string {
  return `${path}.next`
}
