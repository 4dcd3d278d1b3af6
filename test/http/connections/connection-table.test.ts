import { describe, expect, it } from 'vitest'
import {
  createConnectionTable,
  IDLE_PREFERENCE_MS,
  type Entry,
} from '../../../src/http/connections/connection-table.ts'

interface Named extends Entry {
  readonly name: string
}

function scene() {
  const time = { now: 0 }
  const table = createConnectionTable<Named>(() => time.now)
  const open = (name: string, source = 'a'): Named => {
    const entry = { name, source }
    table.add(entry)
    time.now += 1
    return entry
  }
  /** Opens a connection that has had a verified request. */
  const openProven = (name: string, source = 'a'): Named => {
    const entry = open(name, source)
    table.begin(entry)
    table.end(entry)
    return entry
  }
  const pick = (source?: string) => table.leastUseful(source)?.name
  return { time, table, open, openProven, pick }
}

describe('the table of connections', () => {
  it('counts all connections and those of each source, and forgets a source after its last one', () => {
    const { table, open } = scene()
    const one = open('one')
    open('two', 'b')
    expect([table.size, table.countOf('a'), table.countOf('b'), table.countOf('c')]).toEqual([2, 1, 1, 0])
    table.remove(one)
    table.remove(one)
    expect([table.size, table.countOf('a')]).toEqual([1, 0])
  })

  it('picks the oldest one of the source with most connections', () => {
    const { table, open, pick } = scene()
    open('few', 'b')
    const first = open('first')
    const second = open('second')
    expect(pick()).toBe('first')
    expect([pick('b'), pick('c')]).toEqual(['few', undefined])
    table.remove(first)
    open('more', 'b')
    expect(pick()).toBe('few')
    open('third')
    open('fourth')
    expect(pick()).toBe('second')
    table.remove(second)
    expect(pick('a')).toBe('third')
  })

  it('picks a connection without a verified request before the longest idle one', () => {
    const { table, open, openProven, pick } = scene()
    const first = openProven('first')
    openProven('second')
    const silent = open('silent')
    expect(pick()).toBe('silent')
    table.remove(silent)
    expect(pick()).toBe('first')
    table.begin(first)
    table.end(first)
    expect(pick()).toBe('second')
  })

  it('picks a long idle connection before a new one', () => {
    const { time, open, openProven, pick } = scene()
    openProven('idle')
    time.now = IDLE_PREFERENCE_MS
    open('newcomer')
    expect(pick()).toBe('newcomer')
    const later = scene()
    later.openProven('idle')
    later.time.now = IDLE_PREFERENCE_MS + 2
    later.open('newcomer')
    expect(later.pick()).toBe('idle')
  })

  it('neither picks nor counts connections in use', () => {
    const { table, open, pick } = scene()
    const used = [open('one'), open('two'), open('three')]
    open('silent', 'b')
    expect(pick()).toBe('one')
    for (const entry of used) table.begin(entry)
    expect([pick(), pick('a')]).toEqual(['silent', undefined])
    expect([table.countOf('a'), table.size]).toEqual([3, 4])
    for (const entry of used) table.end(entry)
    expect(pick()).toBe('one')
  })

  it('does not take back a connection that was closed during its request', () => {
    const { table, open, pick } = scene()
    const one = open('one')
    table.begin(one)
    table.remove(one)
    table.end(one)
    expect([table.size, pick(), pick('a')]).toEqual([0, undefined, undefined])
  })

  it('picks from a source with most connections after any sequence of changes', () => {
    const { table, open } = scene()
    const spare = new Map<string, Named[]>()
    let seed = 1
    const random = (below: number) => (seed = (seed * 48_271) % 2_147_483_647) % below
    for (let i = 0; i < 5_000; i++) {
      const source = `source ${random(5)}`
      const own = spare.get(source) ?? []
      spare.set(source, own)
      if (random(2) === 0 || own.length === 0) own.push(open('', source))
      else table.remove(own.splice(random(own.length), 1)[0] ?? { name: '', source })
      const most = Math.max(...[...spare.values()].map(({ length }) => length))
      const picked = table.leastUseful()
      expect(most === 0 ? picked === undefined : spare.get(picked?.source ?? '')?.length === most).toBe(true)
    }
  })

  it('costs the same for any number of open connections', () => {
    const { table, open } = scene()
    for (let i = 0; i < 200_000; i++) open('silent', `source ${i % 4}`)
    const start = performance.now()
    for (let i = 0; i < 20_000; i++) {
      const picked = table.leastUseful()
      if (picked !== undefined) table.remove(picked)
      open('silent', `source ${i % 4}`)
    }
    // About 3 µs each; a search through all connections of a source would take 50 times as long.
    expect((performance.now() - start) / 20_000).toBeLessThan(0.1)
  })
})
