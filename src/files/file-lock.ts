// Locks a file between processes, with a lock file beside it.
//
// The holder touches its lock file every second. A waiter takes over a lock file that a crashed run left untouched.
// Two waiters must not do that at once, because the second would remove the fresh lock of the first.
// So a waiter creates the next lock exclusively, checks that the old one is unchanged, and renames the next over it.
// The next lock is an ordinary lock, so waiters take it over in the same way after a crash.

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
// If this process stood still for seconds, the holder may have stood still too, and touches its lock now.
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
      // Our own clock counts, because machines that share a folder may disagree about the time.
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
