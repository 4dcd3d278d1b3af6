// Tests sharing and ordering of asynchronous work.

import { describe, expect, it } from 'vitest'
import { oneAfterTheOther, shareInFlight, shareNextRun } from '../../src/async/in-flight.ts'

interface Run {
  readonly resolve: (value: number) => void
  readonly reject: (error: Error) => void
}

/** Work whose runs the test ends by hand, in the order of their starts. */
function createManualWork() {
  const runs: Run[] = []
  const work = () => new Promise<number>((resolve, reject) => runs.push({ resolve, reject }))
  return { runs, work }
}

describe('shareInFlight', () => {
  it('runs work once for calls at the same time, and again afterwards', async () => {
    const { runs, work } = createManualWork()
    const share = shareInFlight<number>()
    const together = [share(work), share(work), share(work)]
    runs[0]?.resolve(1)
    expect(await Promise.all(together)).toEqual([1, 1, 1])
    const later = share(work)
    runs[1]?.resolve(2)
    expect(await later).toBe(2)
    expect(runs).toHaveLength(2)
  })

  it('shares a failure, and tries again after it', async () => {
    const { runs, work } = createManualWork()
    const share = shareInFlight<number>()
    const failing = [share(work), share(work)]
    runs[0]?.reject(new Error('worker died'))
    await expect(failing[0]).rejects.toThrow('worker died')
    await expect(failing[1]).rejects.toThrow('worker died')
    const later = share(work)
    runs[1]?.resolve(1)
    expect(await later).toBe(1)
  })

  it('shares nothing between different keys', async () => {
    const share = shareInFlight<string>()
    const keys = ['a', 'b', '']
    expect(await Promise.all(keys.map((key) => share(() => Promise.resolve(`of ${key}`), key)))).toEqual(
      keys.map((key) => `of ${key}`),
    )
  })
})

describe('oneAfterTheOther', () => {
  it('starts a task when the one before it has ended, even if that one failed', async () => {
    const first = createManualWork()
    const second = createManualWork()
    const run = oneAfterTheOther()
    const outcomes = [run(first.work), run(second.work)]
    await Promise.resolve()
    expect([first.runs.length, second.runs.length]).toEqual([1, 0])
    first.runs[0]?.reject(new Error('disk full'))
    await expect(outcomes[0]).rejects.toThrow('disk full')
    await Promise.resolve()
    second.runs[0]?.resolve(2)
    expect(await outcomes[1]).toBe(2)
  })
})

describe('shareNextRun', () => {
  it('gives calls during a run one further run that starts after them', async () => {
    const { runs, work } = createManualWork()
    const run = shareNextRun(work)
    const first = run()
    await Promise.resolve()
    const during = Array.from({ length: 100 }, run)
    expect(runs).toHaveLength(1)
    runs[0]?.resolve(1)
    expect(await first).toBe(1)
    await Promise.resolve()
    runs[1]?.resolve(2)
    expect(new Set(await Promise.all(during))).toEqual(new Set([2]))
    expect(runs).toHaveLength(2)
  })
})
