import { describe, expect, it } from 'vitest'
import { createWaitingWrites } from '../../src/freeze/waiting-writes.ts'
import { createManualClock } from '../fixtures/manual-clock.ts'

function setScene() {
  const clock = createManualClock(new Date())
  const writes = createWaitingWrites(clock.timetable)
  const leaves: (() => void)[] = []
  const wait = (client = 'user alice', patienceMs = 60_000) =>
    writes.wait({ client, patienceMs, onLeave: (listener) => leaves.push(listener) })
  return { clock, writes, leaves, wait }
}

describe('waiting writes', () => {
  it('go on together when they are released', async () => {
    const { clock, writes, wait } = setScene()
    const outcomes = [wait(), wait('user bob')]
    expect(writes.count).toBe(2)
    writes.releaseAll()
    expect(await Promise.all(outcomes)).toEqual(['go-on', 'go-on'])
    expect(writes.count).toBe(0)
    expect(clock.pending()).toEqual([])
  })

  it('end after their patience, and count as refused', async () => {
    const { clock, writes, wait } = setScene()
    const outcomes = [wait('user alice', 25_000), wait()]
    clock.fireTimers(25_000)
    expect(await outcomes[0]).toBe('too-long')
    expect([writes.count, writes.refused]).toEqual([1, 1])
  })

  it('are forgotten when their client leaves', async () => {
    const { clock, writes, leaves, wait } = setScene()
    const outcome = wait()
    leaves[0]?.()
    expect(await outcome).toBe('left')
    expect([writes.count, writes.refused, clock.pending().length]).toEqual([0, 0, 0])
  })

  it('have a limit for each client and one for all, which apply again after each end', async () => {
    const { writes, leaves, wait } = setScene()
    for (let i = 0; i < 64; i++) void wait()
    expect(await wait()).toBe('too-many')
    for (let client = 0; writes.count < 500; client++) void wait(`user ${Math.floor(client / 60)}`)
    expect(await wait('user new')).toBe('too-many')
    leaves[0]?.()
    const outcome = wait()
    writes.stop()
    expect(await outcome).toBe('stopping')
    expect(await wait()).toBe('stopping')
    expect(writes.refused).toBe(2)
  })
})
