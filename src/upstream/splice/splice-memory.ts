// Lends buffers to splices, within a fixed total.

/** The transfer must write the bytes of one read before the next read. */
export interface SpliceLease {
  readonly buffer: Buffer
  advance(): void
  sent(bytes: number, ms: number): void
  /** Set `reusable` only if no write still reads from the buffers. */
  release(options: { readonly reusable: boolean }): void
}

export interface SpliceMemory {
  acquire(): SpliceLease | undefined
  readonly inUse: number
}

const KIB = 1024

// Reads of 1 MiB cost about half as much per byte as reads of 64 KiB (measured).
const SIZES = [16 * KIB, 64 * KIB, 256 * KIB, 1024 * KIB] as const
const FIRST_SIZE = 1

const MIN_FREE_BUFFERS = 4

// A few large buffers save most of the CPU time. So a large buffer is lent only while an eighth of the memory is in use.
const LARGE_BUFFERS_SHARE = 8

// A transfer that changes to a smaller buffer holds both buffers for a moment.
const RESERVE_SHARE = 16

// For each buffer, Node's TLS layer keeps up to two more of the same size, for encrypted bytes (measured).
const BYTES_PER_BUFFER_BYTE = 3

const SLOW_MS = 200

// The kernel accepts the first bytes immediately. So a client counts as fast only after this many quick bytes.
const QUICK_MS = 20
const QUICK_BYTES = 4 * KIB * KIB

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

  function makeRoom(size: number): void {
    for (let level = SIZES.length - 1; level >= 0; level--) {
      while (inUse + idleBytes + size > budget && takeIdle(level) !== undefined) continue
    }
  }

  return {
    get inUse() {
      return inUse
    },
    fits(level) {
      const size = sizeOf(level)
      if (level > FIRST_SIZE && inUse + size > budget / LARGE_BUFFERS_SHARE) return false
      return budget - reserve - inUse >= size * (level === 0 ? 1 : MIN_FREE_BUFFERS)
    },
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
