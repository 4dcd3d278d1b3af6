// The buffers that splices read into: few large ones while few transfers run, smaller ones as they get more, and never
// more than a fixed total.

export interface SpliceMemory {
  /** A buffer of its own for one transfer, or undefined when there is none to spare: then it goes the ordinary way. */
  acquire(): Buffer | undefined
  /** Gives it back. `reusable` only when nothing can still be reading from it. */
  release(buffer: Buffer, options: { readonly reusable: boolean }): void
  /** Bytes held by transfers now. */
  readonly inUse: number
}

const KIB = 1024

// 1 MiB reads cost about a fifth less per byte than 256 KiB ones (measured).
const SIZES = [1024 * KIB, 256 * KIB, 64 * KIB] as const

// Large buffers are given out only while this many more of them would fit, which leaves room for later transfers.
const SPARE = 4

// The TLS layer holds what it encrypted until it is sent: as much again as is read.
const BYTES_PER_BUFFER_BYTE = 2

/** @param totalBytes of buffers and of what the TLS layer makes of them */
export function createSpliceMemory(totalBytes: number): SpliceMemory {
  const budget = Math.floor(totalBytes / BYTES_PER_BUFFER_BYTE)
  const idle = new Map<number, Buffer[]>(SIZES.map((size) => [size, []]))
  let inUse = 0

  function acquire(): Buffer | undefined {
    const free = budget - inUse
    const size = SIZES.find((candidate) => free >= candidate * SPARE) ?? smallestWithin(free)
    if (size === undefined) return undefined
    inUse += size
    return idle.get(size)?.pop() ?? allocate(size)
  }

  // Idle buffers of other sizes must not add to those in use.
  function allocate(size: number): Buffer {
    for (const buffers of idle.values()) buffers.length = 0
    return Buffer.allocUnsafeSlow(size)
  }

  return {
    acquire,
    release(buffer, { reusable }) {
      inUse -= buffer.length
      if (reusable) idle.get(buffer.length)?.push(buffer)
    },
    get inUse() {
      return inUse
    },
  }
}

function smallestWithin(free: number): number | undefined {
  const smallest = SIZES[SIZES.length - 1]
  return smallest !== undefined && free >= smallest ? smallest : undefined
}
