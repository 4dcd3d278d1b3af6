import { describe, expect, it } from 'vitest'
import { createSpliceMemory } from '../../src/upstream/splice-memory.ts'

const MIB = 1024 * 1024

describe('the memory for large bodies', () => {
  it('gives large buffers to few, smaller ones to many, and none beyond its total', () => {
    const memory = createSpliceMemory(64 * MIB)
    const sizes: number[] = []
    for (let buffer = memory.acquire(); buffer !== undefined; buffer = memory.acquire())
      sizes.push(buffer.length)
    expect(sizes[0]).toBe(MIB)
    expect(sizes.at(-1)).toBe(64 * 1024)
    expect(sizes).toEqual(sizes.toSorted((a, b) => b - a))
    // As much again is what the TLS layer makes of them.
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(32 * MIB)
    expect(sizes.length).toBeGreaterThan(40)
  })

  it('gives a buffer out again only when nothing can be reading from it', () => {
    const memory = createSpliceMemory(64 * MIB)
    const first = memory.acquire() ?? Buffer.alloc(0)
    memory.release(first, { reusable: true })
    expect(memory.acquire()).toBe(first)
    memory.release(first, { reusable: false })
    expect(memory.acquire()).not.toBe(first)
  })

  it('counts what is in use', () => {
    const memory = createSpliceMemory(64 * MIB)
    const buffers = [memory.acquire(), memory.acquire()]
    expect(memory.inUse).toBe(2 * MIB)
    for (const buffer of buffers) memory.release(buffer ?? Buffer.alloc(0), { reusable: true })
    expect(memory.inUse).toBe(0)
  })

  it('has none to give when it is too small for one', () => {
    expect(createSpliceMemory(64 * 1024).acquire()).toBeUndefined()
  })
})
