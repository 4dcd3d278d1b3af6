// A lock between processes: a file beside the one it guards, made with exclusive create.
//
// The holder touches its lock every second. A lock nobody touches was left by a run that crashed, and is taken
// over. Two waiters must not do that at once: the second would remove the first one's fresh lock. So a waiter
// first makes the *next* lock, again exclusively, looks whether the old one is still the one it saw, and renames
// the next over it. Until that rename no one else can make a next lock; after it, everyone sees a living one.
// The next lock is a lock like the first: a run that crashes before the rename leaves both, and the next lock is taken
// over by the same steps, with a next lock of its own.

import { randomUUID } from 'node:crypto'
import { open, rename, stat, unlink, type FileHandle } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'

import { CommandError, errorCode } from '../errors/errors.ts'
import { readRegular } from './regular-file.ts'

export interface FileLock {
  /**
   * Rejects with a CommandError when the lock is no longer ours: this process was stopped for so long that another
   * took it for dead. To be asked right before what the lock protects.
   */
  assertHeld(): Promise<void>
}

export interface LockTimes {
  /** How long to wait for a lock that is in use. */
  readonly waitMs: number
  /** How long a lock may go untouched before it counts as left behind. */
  readonly staleMs: number
}

// An edit holds the lock for milliseconds. Ten seconds let a hundred scripted ones pass, and outlast a stale lock.
const DEFAULT_TIMES: LockTimes = { waitMs: 10_000, staleMs: 4_000 }
const TOUCH_EVERY_MS = 1_000
const POLL_MS = 30
// From one look to the next no more counts as untouched: when the machine, or this process, stood still for seconds,
// so may have the holder, and its touch comes now.
const MOST_MS_PER_LOOK = 500

interface HeldLock extends FileLock {
  /**
   * Puts the lock in place of another one. Resolves to false when it was no longer ours: this process stood still for so
   * long that another took it over.
   */
  moveTo(target: string): Promise<boolean>
  release(): Promise<void>
}

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

/** The attempts of one run at one lock. */
interface Contender {
  /** To be called before each attempt, because untouched time counts from look to look. */
  look(): Promise<void>
  attempt(): Promise<HeldLock | undefined>
}

function createContender(path: string, staleMs: number): Contender {
  const watch = createWatch(path, staleMs)
  let next: Contender | undefined
  const getNext = (): Contender => (next ??= createContender(nextOf(path), staleMs))

  return {
    async look() {
      await watch.look()
      // At the same time, or each lock that was left behind would add its own waiting time.
      if (watch.state !== undefined) await getNext().look()
    },
    async attempt() {
      const lock = await create(path)
      const stale = watch.leftBehind()
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
  leftBehind(): string | undefined
}

function createWatch(path: string, staleMs: number): LockWatch {
  let state: string | undefined
  let [untouchedMs, lastLook] = [0, 0]
  return {
    get state() {
      return state
    },
    async look() {
      const seen = await observe(path)
      // By our own clock and not by the file's time: machines that share a folder may disagree about the time.
      const now = performance.now()
      untouchedMs = seen === state ? untouchedMs + Math.min(now - lastLook, MOST_MS_PER_LOOK) : 0
      state = seen
      lastLook = now
    },
    leftBehind: () => (untouchedMs >= staleMs ? state : undefined),
  }
}

async function create(path: string): Promise<HeldLock | undefined> {
  const token = randomUUID()
  const handle = await openNew(path)
  if (handle === undefined) return undefined
  try {
    await handle.writeFile(token)
  } catch (error) {
    await handle.close()
    await unlink(path).catch(() => undefined)
    throw error
  }
  return hold(handle, path, token)
}

async function openNew(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, 'wx')
  } catch (error) {
    if (errorCode(error) === 'EEXIST') return undefined
    throw error
  }
}

interface Takeover {
  /** The state of the lock that was left behind. */
  readonly stale: string
  /** The next lock, held by us. */
  readonly claim: HeldLock
}

async function takeOver(path: string, { stale, claim }: Takeover): Promise<HeldLock | undefined> {
  let isTaken = false
  try {
    isTaken = (await observe(path)) === stale && (await claim.moveTo(path))
  } finally {
    if (!isTaken) await claim.release()
  }
  return isTaken ? claim : undefined
}

function hold(handle: FileHandle, madeAt: string, token: string): HeldLock {
  let path = madeAt
  const touching = setInterval(() => {
    // A touch that fails is one of several; and assertHeld has the last word.
    handle.utimes(new Date(), new Date()).catch(() => undefined)
  }, TOUCH_EVERY_MS)

  async function isHeld(): Promise<boolean> {
    return (await readIfPresent(path)) === token
  }

  return {
    async assertHeld() {
      if (!(await isHeld()))
        throw new CommandError('another run took over meanwhile; nothing was changed, try again')
    },
    async moveTo(target) {
      try {
        await rename(path, target)
      } catch (error) {
        if (errorCode(error) === 'ENOENT') return false
        throw error
      }
      path = target
      return isHeld()
    },
    async release() {
      clearInterval(touching)
      await handle.close()
      if (await isHeld()) await unlink(path)
    },
  }
}

/** Differs whenever the lock was touched or is another one. */
async function observe(path: string): Promise<string | undefined> {
  try {
    const { mtimeNs } = await stat(path, { bigint: true })
    return `${mtimeNs} ${(await readRegular(path)).toString()}`
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined
    throw error
  }
}

async function readIfPresent(path: string): Promise<string | undefined> {
  try {
    return (await readRegular(path)).toString()
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined
    throw error
  }
}

function nextOf(path: string): string {
  return `${path}.next`
}
