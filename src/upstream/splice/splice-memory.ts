// Lends buffers to splices, within a fixed total.
//
// Transfers to fast clients get larger buffers than transfers to slow clients.

/** The buffer of one transfer. The transfer writes the bytes of one read, and only then reads again. */
export interface SpliceLease {
  /** The buffer for the next read. Only `advance` changes it. */
  readonly buffer: Buffer
  /** Call it when a write of `buffer` starts. The next read may use another buffer. */
  advance(): void
  /** Call it when that write has ended, with its bytes and its duration. */
  sent(bytes: number, ms: number): void
  /** Returns all buffers. They are `reusable` only if nothing can still read from them. */
  release(options: { readonly reusable: boolean }): void
}

export interface SpliceMemory {
  /** Lends a buffer to one transfer. Without enough memory, returns undefined; then the body must be piped. */
  acquire(): SpliceLease | undefined
  readonly inUse: number
}

const KIB = 1024

// Per byte, reads of 1 MiB cost about 20 % less than reads of 256 KiB, and half as much as reads of 64 KiB
// (measured).
const SIZES = [16 * KIB, 64 * KIB, 256 * KIB, 1024 * KIB] as const
const FIRST_SIZE = 1

// A larger buffer is lent only while this many of its size fit, which leaves room for later transfers.
const SPARE = 4

// A share for transfers that change to a smaller buffer. For a moment they hold both. They should change when all
// memory is in use, and could not without this share.
const RESERVE_SHARE = 16

// The TLS layer keeps the encrypted bytes until they are sent, which doubles the memory.
const BYTES_PER_BUFFER_BYTE = 2

// A write that takes this long waits for the client's network. A larger buffer would not help.
const SLOW_MS = 200

// The kernel's buffers take some bytes at once, whatever the client does. So a fast client must take this many bytes
// fast.
const QUICK_MS = 20
const QUICK_BYTES = 4 * KIB * KIB

/** @param totalBytes limit for the buffers and their encrypted copies */
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
  // The last write still uses it, while the next read uses `buffer`.
  let retired: Buffer | undefined
  let quickBytes = 0

  function returnRetired(isReusable: boolean): void {
    if (retired !== undefined) pool.takeBack(retired, { reusable: isReusable })
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
      returnRetired(true)
      quickBytes = ms <= QUICK_MS ? quickBytes + bytes : 0
      wanted = level
      if (ms >= SLOW_MS) wanted = Math.max(0, level - 1)
      else if (quickBytes >= QUICK_BYTES) wanted = Math.min(SIZES.length - 1, level + 1)
    },
    release({ reusable }) {
      returnRetired(reusable)
      pool.takeBack(buffer, { reusable })
    },
  }
}

interface Pool {
  readonly inUse: number
  fits(level: number): boolean
  /** Whether a smaller buffer may replace a larger one, which comes back a moment later. */
  hasReserve(level: number): boolean
  take(level: number): Buffer
  takeBack(buffer: Buffer, options: { readonly reusable: boolean }): void
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

  // Drops idle buffers until the new one fits in the budget.
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
    takeBack(buffer, { reusable }) {
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
