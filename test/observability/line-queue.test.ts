import { describe, expect, it, onTestFinished } from 'vitest'
import { createLineQueue, TOO_SLOW, type LineTarget } from '../../src/observability/line-queue.ts'
import { until } from '../fixtures/until.ts'

interface Scene {
  /** How many bytes the next writes accept; an error makes them fail. */
  accepts: number | Error
  acceptsOnce: boolean
  written: string
  isReplaced: boolean
  readonly reports: string[]
}

function scene(options: { readonly maxBytes?: number } = {}) {
  const state: Scene = { accepts: Infinity, acceptsOnce: false, written: '', isReplaced: false, reports: [] }
  const target: LineTarget = {
    prepare: () => {
      const { isReplaced } = state
      state.isReplaced = false
      return Promise.resolve(isReplaced ? 'replaced' : 'same')
    },
    write: (bytes) => {
      if (state.accepts instanceof Error) return Promise.reject(state.accepts)
      const accepted = bytes.subarray(0, state.accepts)
      state.written += accepted.toString()
      if (state.acceptsOnce) state.accepts = 0
      return Promise.resolve(accepted.length)
    },
    close: () => Promise.resolve(),
  }
  const queue = createLineQueue(target, {
    ...options,
    onBlocked: (reason) => state.reports.push(`blocked: ${reason}`),
    onRecovered: (dropped) => state.reports.push(`recovered: ${dropped}`),
    onLost: (lines) => state.reports.push(`lost: ${lines}`),
  })
  onTestFinished(() => queue.close())
  const wrote = (text: string) => until(() => state.written === text, { deadlineMs: 5_000, what: text })
  return { queue, state, wrote }
}

describe('a queue of lines', () => {
  it('writes all lines in order, also if each write accepts a part of a line', async () => {
    const { queue, state } = scene()
    state.accepts = 3
    const lines = Array.from({ length: 50 }, (_, index) => `line ${index} ü\n`)
    for (const line of lines) queue.add(line)
    await until(() => state.written.length >= lines.join('').length, { deadlineMs: 5_000, what: 'all' })
    state.accepts = Infinity
    queue.add('end\n')
    await until(() => state.written.endsWith('end\n'), { deadlineMs: 5_000, what: 'the end' })
    expect(state.reports).toEqual([])
  })

  it('drops lines above its limit, counts them, and reports both ends of the outage once', async () => {
    const { queue, state, wrote } = scene({ maxBytes: 10 })
    state.accepts = new Error('disk full')
    for (let i = 0; i < 6; i++) queue.add(`ab${i}\n`)
    expect(queue.dropped).toBe(4)
    await until(() => state.reports.length > 1, { deadlineMs: 5_000, what: 'the error' })
    state.accepts = Infinity
    await wrote('ab0\nab1\n')
    expect(state.reports).toEqual([`blocked: ${TOO_SLOW}`, 'blocked: disk full', 'recovered: 4'])
    state.accepts = 0
    for (let i = 0; i < 6; i++) queue.add(`cd${i}\n`)
    state.accepts = Infinity
    await until(() => state.reports.length === 5, { deadlineMs: 5_000, what: 'the second outage' })
    expect(state.reports.slice(3)).toEqual([`blocked: ${TOO_SLOW}`, 'recovered: 4'])
  })

  it('writes a line again that was written in part before its file was replaced', async () => {
    const { queue, state, wrote } = scene()
    state.accepts = 2
    state.acceptsOnce = true
    queue.add('whole\n')
    await wrote('wh')
    state.isReplaced = true
    await until(() => !state.isReplaced, { deadlineMs: 5_000, what: 'the other file' })
    state.accepts = Infinity
    state.acceptsOnce = false
    await wrote('whwhole\n')
  })

  it('writes what waits before it closes', async () => {
    const { queue, state } = scene()
    for (let i = 0; i < 1_000; i++) queue.add('line\n')
    await queue.close()
    expect(state.written).toBe('line\n'.repeat(1_000))
    expect(state.reports).toEqual([])
  })

  it('closes within about a second if nothing can be written, and reports the lost lines', async () => {
    const { queue, state } = scene()
    state.accepts = 0
    queue.add('one\n')
    queue.add('two\n')
    const start = performance.now()
    await queue.close()
    expect(performance.now() - start).toBeLessThan(5_000)
    expect(state.reports).toEqual(['lost: 2'])
    queue.add('three\n')
    expect(state.written).toBe('')
  })
})
