import { describe, expect, it } from 'vitest'
import { createConnectionTable, SPARE_AFTER_MS, type Entry } from '../../src/http/connection-table.ts'

interface Named extends Entry {
  readonly name: string
  isBusy: boolean
}

function scene() {
  const time = { now: 0 }
  const table = createConnectionTable<Named>(() => time.now)
  const open = (name: string, source = 'a'): Named => {
    const entry = { name, source, isBusy: false, usedAt: 0 }
    table.add(entry)
    time.now += 1
    return entry
  }
  return { time, table, open }
}

describe('the table of connections', () => {
  it('counts all, and those of each source, and forgets a source whose last one has gone', () => {
    const { table, open } = scene()
    const one = open('one')
    open('two', 'b')
    expect([table.size, table.countOf('a'), table.countOf('b'), table.countOf('c')]).toEqual([2, 1, 1, 0])
    table.remove(one)
    table.remove(one)
    expect([table.size, table.countOf('a')]).toEqual([1, 0])
  })

  it('spares nothing that is young', () => {
    const { time, table, open } = scene()
    open('one')
    time.now = SPARE_AFTER_MS - 1
    expect(table.spare()).toBeUndefined()
    time.now = SPARE_AFTER_MS
    expect(table.spare()?.name).toBe('one')
  })

  it('spares what has been of no use for longest, of all or of one source', () => {
    const { time, table, open } = scene()
    const first = open('first', 'a')
    open('second', 'b')
    open('third', 'a')
    time.now = 2 * SPARE_AFTER_MS
    expect(table.spare()?.name).toBe('first')
    expect(table.spare('b')?.name).toBe('second')
    expect(table.spare('c')).toBeUndefined()
    table.begin(first)
    expect([table.spare()?.name, table.spare('a')?.name]).toEqual(['second', 'third'])
    table.end(first)
    expect(table.spare()?.name).toBe('second')
    time.now += SPARE_AFTER_MS
    table.remove(table.spare() ?? first)
    expect(table.spare()?.name).toBe('third')
  })

  it('spares no login that is being checked, and looks past a bounded number of them', () => {
    const { time, table, open } = scene()
    for (let i = 0; i < 64; i++) open(`login ${i}`).isBusy = i < 63
    time.now = 2 * SPARE_AFTER_MS
    expect(table.spare()?.name).toBe('login 63')
    const crowd = scene()
    for (let i = 0; i < 65; i++) crowd.open(`login ${i}`).isBusy = i < 64
    crowd.time.now = 2 * SPARE_AFTER_MS
    expect(crowd.table.spare()).toBeUndefined()
  })

  it('comes to those behind a crowd that is always busy, look by look', () => {
    const { time, table, open } = scene()
    for (let i = 0; i < 130; i++) open(`login ${i}`).isBusy = true
    open('idle')
    time.now = 2 * SPARE_AFTER_MS
    expect([1, 2, 3].map(() => table.spare()?.name)).toEqual([undefined, undefined, 'idle'])
  })

  it('keeps its order when a use ends that ended before', () => {
    const { time, table, open } = scene()
    const first = open('first')
    open('second')
    time.now = SPARE_AFTER_MS
    table.end(first)
    time.now = SPARE_AFTER_MS + 1
    expect(table.spare()?.name).toBe('second')
  })

  it('does not take back a connection that was closed during its request', () => {
    const { time, table, open } = scene()
    const one = open('one')
    table.begin(one)
    table.remove(one)
    table.end(one)
    time.now = 2 * SPARE_AFTER_MS
    expect([table.size, table.spare(), table.spare('a')]).toEqual([0, undefined, undefined])
  })
})
