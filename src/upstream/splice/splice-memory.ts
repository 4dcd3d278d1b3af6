// The buffers that splices read into: larger ones for transfers whose client takes the bytes quickly, small ones for
// the others, and never more than a fixed total.

/** One transfer's buffer. The transfer writes one read at a time, and reads again only after that. */
export interface SpliceLease {
  /** The one to read into next. Changes with `advance` alone. */
  readonly buffer: Buffer
  /** A write of what `buffer` holds begins: the next read may go into another one. */
  advance(): void
  /** That write is over: the client took this many bytes in this time. */
  sent(bytes: number, ms: number): void
  /** Gives everything back. `reusable` only when nothing can still be reading from it. */
  release(options: { readonly reusable: boolean }): void
}

export interface SpliceMemory {
  /** A buffer of its own for one transfer, or undefined when there is none to spare: then it goes the ordinary way. */
  acquire(): SpliceLease | undefined
  /** Bytes held by transfers now. */
  readonly inUse: number
}

const KIB = 1024

// 1 MiB reads cost about a fifth less per byte than 256 KiB ones, and half of what 64 KiB ones cost (measured).
const SIZES = [16 * KIB, 64 * KIB, 256 * KIB, 1024 * KIB] as const
const FIRST_SIZE = 1

// Larger buffers are given out only while this many of them would fit, which leaves room for later transfers.
const SPARE = 4

// Kept for those that go over to a smaller buffer: for a moment they hold both, and without it they could not when
// everything is in use, which is when they should.
const RESERVE_SHARE = 16

// The TLS layer holds what it encrypted until it is sent: as much again as is read.
const BYTES_PER_BUFFER_BYTE = 2

// A write that takes this long waits for its client's network: more bytes at a time would only stand there.
const SLOW_MS = 200

// What the kernel's buffers take at once says nothing about a client, hence the bytes.
const QUICK_MS = 20
const QUICK_BYTES = 4 * KIB * KIB

/** @param totalBytes of buffers and of what the TLS layer makes of them */
export function createSpliceMemory(totalBytes: number): SpliceMemory {
  const pool = createPool(Math.floor(totalBytes / BYTES_PER_BUFFER_BYTE))

  return {
    acquire() {
      const level = pool.fits(FIRST_SIZE) ? FIRST_SIZE : 0
      return pool.fits(level) ? createLease(pool, level) : undefined
    },
    get inUse() {
      return pool.inUse
    },
  }
}

function createLease(pool: Pool, firstLevel: number): SpliceLease {
  let level = firstLevel
  let wanted = firstLevel
  let buffer = pool.take(level)
  // Still being written from, while the next read goes into another.
  let retired: Buffer | undefined
  let quickBytes = 0

  function giveBackRetired(isReusable: boolean): void {
    if (retired !== undefined) pool.giveBack(retired, { reusable: isReusable })
    retired = undefined
  }

  return {
    get buffer() {
      return buffer
    },
    advance() {
      if (wanted === level) return
      if (wanted > level ? !pool.fits(wanted) : !pool.hasReserve(wanted)) return
      retired = buffer
      level = wanted
      quickBytes = 0
      buffer = pool.take(level)
    },
    sent(bytes, ms) {
      giveBackRetired(true)
      quickBytes = ms <= QUICK_MS ? quickBytes + bytes : 0
      wanted = level
      if (ms >= SLOW_MS) wanted = Math.max(0, level - 1)
      else if (quickBytes >= QUICK_BYTES) wanted = Math.min(SIZES.length - 1, level + 1)
    },
    release({ reusable }) {
      giveBackRetired(reusable)
      pool.giveBack(buffer, { reusable })
    },
  }
}

interface Pool {
  readonly inUse: number
  /** Whether a buffer of this level may be taken. */
  fits(level: number): boolean
  /** Whether a smaller one may be taken instead of a larger one, which comes back a moment later. */
  hasReserve(level: number): boolean
  take(level: number): Buffer
  giveBack(buffer: Buffer, options: { readonly reusable: boolean }): void
}

function createPool(budget: number): Pool {
  const idle = SIZES.map((): Buffer[] => [])
  const reserve = budget / RESERVE_SHARE
  let inUse = 0
  let idleBytes = 0

  function takeIdle(level: number): Buffer | undefined {
    const buffer = idle[level]?.pop()
    idleBytes -= buffer?.length ?? 0
    return buffer
  }

  // Idle buffers must not add to those in use.
  function makeRoom(size: number): void {
    for (let level = SIZES.length - 1; level >= 0; level--) {
      while (inUse + idleBytes + size > budget && takeIdle(level) !== undefined) continue
    }
  }

  return {
    get inUse() {
      return inUse
    },
    fits: (level) => budget - reserve - inUse >= sizeOf(level) * (level === 0 ? 1 : SPARE),
    hasReserve: (level) => budget - inUse >= sizeOf(level),
    take(level) {
      const size = sizeOf(level)
      const buffer = takeIdle(level)
      if (buffer === undefined) makeRoom(size)
      inUse += size
      return buffer ?? Buffer.allocUnsafeSlow(size)
    },
    giveBack(buffer, { reusable }) {
      inUse -= buffer.length
      if (!reusable) return
      idle[SIZES.findIndex((size) => size === buffer.length)]?.push(buffer)
      idleBytes += buffer.length
    },
  }
}

function sizeOf(level: number): number {
  return SIZES[level] ?? 0
}
