// Tests the bound on log lines that clients cause.

import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { createBoundedLog } from '../../src/observability/bounded-log.ts'

const WINDOW_MS = 1_000

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

/** Creates a log of texts. Their first letter is the key. */
function boundedLog({ ongoingLines }: { readonly ongoingLines?: number } = {}) {
  const written: string[] = []
  const log = createBoundedLog<string>({
    windowMs: WINDOW_MS,
    keyOf: (event) => event.charAt(0),
    linesOf: () => 2,
    ...(ongoingLines === undefined ? {} : { ongoingLines }),
    maxKeysOf: () => 3,
    write: (event) => written.push(event),
    writeCounted: (last, count) => written.push(`${count} like ${last}`),
    writeUnlisted: (count) => written.push(`${count} unlisted`),
  })
  return {
    log,
    add: (...events: readonly string[]) => events.map((event) => log.add(event)),
    /** Returns the lines since the last call. */
    lines: () => written.splice(0),
  }
}

describe('events of one key', () => {
  it('get their lines, and one with the count of the rest at the end of the window', () => {
    const { add, lines } = boundedLog()
    expect(add('a1', 'a2', 'a3', 'a4')).toEqual(['written', 'written', 'counted', 'counted'])
    expect(lines()).toEqual(['a1', 'a2'])
    vi.advanceTimersByTime(WINDOW_MS)
    expect(lines()).toEqual(['2 like a4'])
    add('a5')
    expect(lines()).toEqual(['a5'])
  })

  it('leave no timer after a quiet window', () => {
    const { add, lines } = boundedLog()
    add('a1', 'a2', 'a3')
    vi.advanceTimersByTime(2 * WINDOW_MS)
    expect(lines()).toEqual(['a1', 'a2', '1 like a3'])
    expect(vi.getTimerCount()).toBe(0)
  })

  it('are only counted in windows after a full one, with ongoingLines 0', () => {
    const { add, lines } = boundedLog({ ongoingLines: 0 })
    for (const event of ['a1', 'a2', 'a3', 'a4', 'a5']) {
      add(event, event, event)
      vi.advanceTimersByTime(WINDOW_MS)
    }
    expect(lines()).toEqual(['a1', 'a1', '1 like a1', '3 like a2', '3 like a3', '3 like a4', '3 like a5'])
    vi.advanceTimersByTime(WINDOW_MS)
    add('a6')
    expect(lines(), 'after a quiet window').toEqual(['a6'])
  })
})

it('adds no more keys than allowed, and counts the events of others together', () => {
  const { add, lines } = boundedLog()
  add('a', 'b', 'c', 'd', 'e', 'd', 'a')
  vi.advanceTimersByTime(WINDOW_MS)
  expect(lines()).toEqual(['a', 'b', 'c', 'a', '3 unlisted'])
  add('d')
  expect(lines()).toEqual(['d'])
})

it('writes its counts at close, and leaves no timer', () => {
  const { log, add, lines } = boundedLog()
  add('a1', 'a2', 'a3')
  log.close()
  expect(lines()).toEqual(['a1', 'a2', '1 like a3'])
  add('a4', 'b')
  expect(lines()).toEqual(['a4', 'b'])
  expect(vi.getTimerCount()).toBe(0)
})
