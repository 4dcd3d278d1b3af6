// Tests the queue that serves its sources in turn.

import { describe, expect, it } from 'vitest'
import { createFairQueue, type FairQueue } from '../../src/auth/fair-queue.ts'

const LIMITS = { total: 6, perSource: 5 }

/** Items are named after their source: `a1` is the first of `a`. */
function queueOf(...items: readonly string[]): FairQueue<string> {
  return fill(createFairQueue<string>(LIMITS), ...items)
}

/** Creates a queue that favors only these sources. */
function queueFavoring(favored: string, ...items: readonly string[]): FairQueue<string> {
  const isFavored = (source: string) => favored.includes(source)
  return fill(createFairQueue<string>({ ...LIMITS, isFavored }), ...items)
}

function fill(queue: FairQueue<string>, ...items: readonly string[]): FairQueue<string> {
  for (const item of items) expect(push(queue, item)).toBeUndefined()
  return queue
}

function push(queue: FairQueue<string>, item: string): string | undefined {
  return queue.push(item.charAt(0), item)
}

function drain(queue: FairQueue<string>): readonly string[] {
  const items: string[] = []
  for (let item = queue.shift(); item !== undefined; item = queue.shift()) items.push(item)
  expect(queue.size).toBe(0)
  return items
}

describe('turns', () => {
  it('follow the order of arrival for one source', () => {
    expect(drain(queueOf('a1', 'a2', 'a3'))).toEqual(['a1', 'a2', 'a3'])
  })

  it('alternate between the sources', () => {
    expect(drain(queueOf('a1', 'a2', 'a3', 'b1', 'c1', 'b2'))).toEqual(['a1', 'b1', 'c1', 'a2', 'b2', 'a3'])
  })

  it('delay a newcomer by one item of each other source', () => {
    const queue = queueOf('a1', 'a2', 'a3', 'b1', 'b2')
    expect(queue.shift()).toBe('a1')
    push(queue, 'c1')
    expect(drain(queue)).toEqual(['b1', 'a2', 'c1', 'b2', 'a3'])
  })

  it('do not come earlier for a source that returns at once', () => {
    const queue = queueOf('a1', 'b1')
    expect(queue.shift()).toBe('a1')
    push(queue, 'a2')
    expect(drain(queue)).toEqual(['b1', 'a2'])
  })
})

describe('favored sources', () => {
  it('go before earlier ones, except in every fourth turn', () => {
    const queue = queueFavoring('yz', 'a1', 'a2', 'b1', 'y1', 'z1', 'y2')
    expect(drain(queue)).toEqual(['y1', 'z1', 'y2', 'a1', 'b1', 'a2'])
    const waiting = queueFavoring('z', 'a1', 'z1', 'z2', 'z3', 'z4', 'z5')
    expect(drain(waiting)).toEqual(['z1', 'z2', 'z3', 'a1', 'z4', 'z5'])
  })

  it('are determined at each turn', () => {
    const favored = new Set(['a'])
    const queue = fill(
      createFairQueue<string>({ ...LIMITS, isFavored: (source) => favored.has(source) }),
      'a1',
      'b1',
    )
    favored.clear()
    favored.add('b')
    expect(drain(queue)).toEqual(['b1', 'a1'])
  })

  it('replace items of others in a full queue, and of favored ones by the usual rule', () => {
    const full = queueFavoring('xyz', 'a1', 'b1', 'b2', 'x1', 'y1', 'y2')
    expect(push(full, 'z1')).toBe('b2')
    expect(push(full, 'z2')).toBe('a1')
    expect(push(full, 'z3')).toBe('b1')
    expect(push(full, 'z4')).toBe('z4')
    expect(push(full, 'c1')).toBe('z3')
  })
})

describe('room', () => {
  it('is limited for one source and for all', () => {
    const queue = queueOf('a1', 'a2', 'a3', 'a4', 'a5')
    expect(push(queue, 'a6')).toBe('a6')
    expect(push(queue, 'b1')).toBeUndefined()
    expect(queue.size).toBe(6)
  })

  it('comes from the newest item of the source that has most', () => {
    const queue = queueOf('a1', 'b1', 'b2', 'b3', 'a2', 'b4')
    expect(push(queue, 'c1')).toBe('b4')
    expect(queue.size).toBe(6)
    expect(drain(queue)).toEqual(['a1', 'b1', 'c1', 'a2', 'b2', 'b3'])
  })

  it('is not made if that would not make two sources more equal', () => {
    const queue = queueOf('a1', 'a2', 'a3', 'b1', 'b2', 'b3')
    expect(push(queue, 'a4')).toBe('a4')
    expect(push(queue, 'b4')).toBe('b4')
    const single = queueOf('a1', 'b1', 'c1', 'd1', 'e1', 'f1')
    expect(push(single, 'g1')).toBe('g1')
    expect(push(single, 'a2')).toBe('a2')
    expect(single.size).toBe(6)
  })

  it('is free again after an item was removed', () => {
    const queue = queueOf('a1', 'a2', 'a3', 'a4', 'a5')
    queue.remove('a', 'a2')
    queue.remove('a', 'not there')
    queue.remove('x', 'not there')
    expect(push(queue, 'a6')).toBeUndefined()
    expect(drain(queue)).toEqual(['a1', 'a3', 'a4', 'a5', 'a6'])
  })

  it('is complete after the last item of a source was removed', () => {
    const queue = queueOf('a1', 'b1')
    queue.remove('a', 'a1')
    expect(queue.size).toBe(1)
    expect(drain(queue)).toEqual(['b1'])
  })
})
