import { describe, expect, it } from 'vitest'
import { createFairQueue, type FairQueue } from '../../src/auth/fair-queue.ts'

const LIMITS = { total: 6, perSource: 5 }

/** Items are named after their source: `a1` is the first of `a`. */
function queueOf(...items: readonly string[]): FairQueue<string> {
  return fill(createFairQueue<string>(LIMITS), ...items)
}

/** The same where only these sources are favored. */
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
  it('are in order of arrival for one source', () => {
    expect(drain(queueOf('a1', 'a2', 'a3'))).toEqual(['a1', 'a2', 'a3'])
  })

  it('go round the sources', () => {
    expect(drain(queueOf('a1', 'a2', 'a3', 'b1', 'c1', 'b2'))).toEqual(['a1', 'b1', 'c1', 'a2', 'b2', 'a3'])
  })

  it('let a newcomer wait for one of each other source', () => {
    const queue = queueOf('a1', 'a2', 'a3', 'b1', 'b2')
    expect(queue.shift()).toBe('a1')
    push(queue, 'c1')
    expect(drain(queue)).toEqual(['b1', 'a2', 'c1', 'b2', 'a3'])
  })

  it('are not won by coming back as soon as one was served', () => {
    const queue = queueOf('a1', 'b1')
    expect(queue.shift()).toBe('a1')
    push(queue, 'a2')
    expect(drain(queue)).toEqual(['b1', 'a2'])
  })
})

describe('favored sources', () => {
  it('go before others that came sooner, but for every fourth turn', () => {
    const queue = queueFavoring('yz', 'a1', 'a2', 'b1', 'y1', 'z1', 'y2')
    expect(drain(queue)).toEqual(['y1', 'z1', 'y2', 'a1', 'b1', 'a2'])
    const waiting = queueFavoring('z', 'a1', 'z1', 'z2', 'z3', 'z4', 'z5')
    expect(drain(waiting)).toEqual(['z1', 'z2', 'z3', 'a1', 'z4', 'z5'])
  })

  it('are those for which it holds when their turn comes', () => {
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

  it('have room made by any that is not, and by favored ones as ever', () => {
    const full = queueFavoring('xyz', 'a1', 'b1', 'b2', 'x1', 'y1', 'y2')
    expect(push(full, 'z1')).toBe('b2')
    expect(push(full, 'z2')).toBe('a1')
    expect(push(full, 'z3')).toBe('b1')
    expect(push(full, 'z4')).toBe('z4')
    expect(push(full, 'c1')).toBe('z3')
  })
})

describe('room', () => {
  it('ends for one source before it ends for all', () => {
    const queue = queueOf('a1', 'a2', 'a3', 'a4', 'a5')
    expect(push(queue, 'a6')).toBe('a6')
    expect(push(queue, 'b1')).toBeUndefined()
    expect(queue.size).toBe(6)
  })

  it('is made by the newest of the source that holds most', () => {
    const queue = queueOf('a1', 'b1', 'b2', 'b3', 'a2', 'b4')
    expect(push(queue, 'c1')).toBe('b4')
    expect(queue.size).toBe(6)
    expect(drain(queue)).toEqual(['a1', 'b1', 'c1', 'a2', 'b2', 'b3'])
  })

  it('is not made where that would only change who has more', () => {
    const queue = queueOf('a1', 'a2', 'a3', 'b1', 'b2', 'b3')
    expect(push(queue, 'a4')).toBe('a4')
    expect(push(queue, 'b4')).toBe('b4')
    const single = queueOf('a1', 'b1', 'c1', 'd1', 'e1', 'f1')
    expect(push(single, 'g1')).toBe('g1')
    expect(push(single, 'a2')).toBe('a2')
    expect(single.size).toBe(6)
  })

  it('is there again after one was taken away', () => {
    const queue = queueOf('a1', 'a2', 'a3', 'a4', 'a5')
    queue.remove('a', 'a2')
    queue.remove('a', 'not there')
    queue.remove('x', 'not there')
    expect(push(queue, 'a6')).toBeUndefined()
    expect(drain(queue)).toEqual(['a1', 'a3', 'a4', 'a5', 'a6'])
  })

  it('of a source whose last one was taken away leaves nothing behind', () => {
    const queue = queueOf('a1', 'b1')
    queue.remove('a', 'a1')
    expect(queue.size).toBe(1)
    expect(drain(queue)).toEqual(['b1'])
  })
})
