// Tests the buffers that splices read into.

import { describe, expect, it } from 'vitest'
import {
  createSpliceMemory,
  type SpliceLease,
  type SpliceMemory,
} from '../../../src/upstream/splice/splice-memory.ts'

const KIB = 1024
const MIB = 1024 * KIB

/** The part of a total that is for buffers. The rest is for two encrypted copies of each. */
const buffersOf = (total: number): number => total / 3

function acquired(memory: SpliceMemory): SpliceLease {
  const lease = memory.acquire()
  if (lease === undefined) throw new Error('there is memory to spare')
  return lease
}

/** Reads and writes until the size no longer changes, with `ms` per write. Returns all sizes. */
function sizesAt(lease: SpliceLease, ms: number): number[] {
  const sizes = [lease.buffer.length]
  for (let i = 0; i < 1_000; i++) {
    const { length } = lease.buffer
    lease.advance()
    lease.sent(length, ms)
    if (sizes.at(-1) !== lease.buffer.length) sizes.push(lease.buffer.length)
  }
  return sizes
}

describe('the memory for large bodies', () => {
  it('lends larger buffers to fast clients, and smaller ones to slow clients', () => {
    const lease = acquired(createSpliceMemory(64 * MIB))
    expect(sizesAt(lease, 1)).toEqual([64 * KIB, 256 * KIB, MIB])
    expect(sizesAt(lease, 100)).toEqual([MIB])
    expect(sizesAt(lease, 500)).toEqual([MIB, 256 * KIB, 64 * KIB, 16 * KIB])
  })

  it('lends no more than its total, and smaller buffers at the end', () => {
    const memory = createSpliceMemory(8 * MIB)
    const sizes: number[] = []
    for (let lease = memory.acquire(); lease !== undefined; lease = memory.acquire())
      sizes.push(lease.buffer.length)
    expect(sizes[0]).toBe(64 * KIB)
    expect(sizes.at(-1)).toBe(16 * KIB)
    // A sixteenth is for transfers that change to a smaller buffer.
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(memory.inUse)
    expect(memory.inUse).toBeLessThanOrEqual(buffersOf(8 * MIB))
    expect(memory.inUse).toBeGreaterThan(0.9 * buffersOf(8 * MIB))
  })

  it('lends large buffers only from an eighth of its memory', () => {
    const memory = createSpliceMemory(64 * MIB)
    const leases = Array.from({ length: 20 }, () => acquired(memory))
    for (const lease of leases) sizesAt(lease, 1)
    expect(leases.map(({ buffer }) => buffer.length)).toContain(MIB)
    expect(memory.inUse).toBeLessThanOrEqual(buffersOf(64 * MIB) / 8)
  })

  it('does not exceed its total when transfers get larger buffers', () => {
    const memory = createSpliceMemory(8 * MIB)
    const leases = Array.from({ length: 20 }, () => acquired(memory))
    for (const lease of leases) sizesAt(lease, 1)
    expect(memory.inUse).toBeLessThanOrEqual(buffersOf(8 * MIB))
    for (const lease of leases) lease.release({ reusable: true })
    expect(memory.inUse).toBe(0)
  })

  it('takes large buffers back from clients that became slow, even if all memory is in use', () => {
    const memory = createSpliceMemory(64 * MIB)
    const quick = Array.from({ length: 28 }, () => acquired(memory))
    for (const lease of quick) sizesAt(lease, 1)
    while (memory.acquire() !== undefined) continue
    const highest: number[] = []
    for (const lease of quick) {
      lease.sent(MIB, 500)
      lease.advance()
      highest.push(memory.inUse)
      lease.sent(MIB, 500)
    }
    expect(quick.map(({ buffer }) => buffer.length)).not.toContain(MIB)
    expect(Math.max(...highest)).toBeLessThanOrEqual(buffersOf(64 * MIB))
    expect(memory.acquire()).toBeDefined()
  })

  it('does not lend a buffer again while a write uses it', () => {
    const memory = createSpliceMemory(64 * MIB)
    const lease = acquired(memory)
    for (let i = 0; i < 64; i++) {
      lease.advance()
      lease.sent(64 * KIB, 1)
    }
    const written = lease.buffer
    lease.advance()
    expect(lease.buffer).not.toBe(written)
    const others = Array.from({ length: 10 }, () => acquired(memory))
    expect(others.map(({ buffer }) => buffer)).not.toContain(written)
    lease.sent(64 * KIB, 1)
    expect(acquired(memory).buffer).toBe(written)
  })

  it('lends a buffer again only if nothing can still read from it', () => {
    const memory = createSpliceMemory(64 * MIB)
    const first = acquired(memory)
    const { buffer } = first
    first.release({ reusable: true })
    const second = acquired(memory)
    expect(second.buffer).toBe(buffer)
    second.release({ reusable: false })
    expect(acquired(memory).buffer).not.toBe(buffer)
    expect(memory.inUse).toBe(64 * KIB)
  })

  it('lends nothing if it is too small for one buffer', () => {
    expect(createSpliceMemory(16 * KIB).acquire()).toBeUndefined()
  })
})
