import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect, it } from 'vitest'
import { createRecentMap } from '../../src/collections/recent-map.ts'

function mapOf(...keys: string[]) {
  const map = createRecentMap<number>(3)
  keys.forEach((key, index) => {
    map.set(key, index)
  })
  const keysLeft = () => ['a', 'b', 'c', 'd'].filter((key) => map.peek(key) !== undefined)
  return { map, keysLeft }
}

it('drops the entry that was set first when it is full', () => {
  const { map, keysLeft } = mapOf('a', 'b', 'c', 'd')
  expect(keysLeft()).toEqual(['b', 'c', 'd'])
  expect(map.size).toBe(3)
})

it('keeps an entry that was read or set again', () => {
  const { map, keysLeft } = mapOf('a', 'b', 'c')
  expect(map.get('a')).toBe(0)
  map.set('b', 7)
  map.set('d', 8)
  expect(keysLeft()).toEqual(['a', 'b', 'd'])
  expect(map.peek('b')).toBe(7)
})

it('drops an entry although it was peeked at', () => {
  const { map, keysLeft } = mapOf('a', 'b', 'c')
  expect(map.peek('a')).toBe(0)
  map.set('d', 8)
  expect(keysLeft()).toEqual(['b', 'c', 'd'])
})

it('forgets what is deleted or cleared', () => {
  const { map, keysLeft } = mapOf('a', 'b', 'c')
  map.delete('b')
  map.delete('unknown')
  expect(keysLeft()).toEqual(['a', 'c'])
  map.clear()
  expect(map.size).toBe(0)
  expect(map.get('a')).toBeUndefined()
})

it('drops the oldest entries in turn, also after deletions and a clear', () => {
  const map = createRecentMap<number>(3)
  const left: string[] = []
  for (let key = 0; key < 20; key += 1) {
    map.set(String(key), key)
    if (key % 4 === 0) map.delete(String(key - 1))
    if (key === 10) map.clear()
    expect(map.size).toBeLessThanOrEqual(3)
  }
  for (let key = 0; key < 20; key += 1) if (map.peek(String(key)) !== undefined) left.push(String(key))
  expect(left).toEqual(['17', '18', '19'])
})

it('takes no more memory when entries are used again and again', () => {
  setFlagsFromString('--expose-gc')
  const collectGarbage = runInNewContext('gc') as () => void
  const heapOf = () => {
    collectGarbage()
    return process.memoryUsage().heapUsed
  }
  const map = createRecentMap<number>(1_000)
  const use = () => {
    for (let uses = 0; uses < 100_000; uses += 1) map.set(String(uses % 3), uses)
  }
  use()
  const before = heapOf()
  use()
  expect(heapOf() - before).toBeLessThan(2_000_000)
  expect(map.size).toBe(3)
})
