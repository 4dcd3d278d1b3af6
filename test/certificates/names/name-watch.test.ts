import { expect, it, onTestFinished } from 'vitest'
import { watchNames } from '../../../src/certificates/names/name-watch.ts'
import { createManualClock } from '../../fixtures/manual-clock.ts'

const LOOK_MS = 15_000
const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS

function setScene() {
  const start = Date.parse('2030-01-01T00:00:00Z')
  const { timetable, pending, advance, fireTimers } = createManualClock(new Date(start))
  const now = () => timetable.now().getTime()
  const scene = { lacks: false, renewals: [] as number[], refreshed: 0 }
  const watch = watchNames({
    refresh: () => {
      scene.refreshed += 1
      return Promise.resolve()
    },
    lacks: () => scene.lacks,
    renew: () => {
      scene.renewals.push(now() - start)
      return Promise.resolve()
    },
    timetable,
  })
  onTestFinished(() => watch.close())

  /** Lets the time of the next look come, and resolves when it is over. */
  async function look(): Promise<void> {
    advance(Math.max(...pending()))
    fireTimers()
    await expect.poll(pending, { interval: 1, timeout: 10_000 }).toHaveLength(1)
  }

  async function pass(ms: number): Promise<void> {
    const end = now() + ms
    while (now() < end) await look()
  }

  return { scene, watch, look, pass, pending, advance }
}

it('a name that the leaf lacks has it renewed at the next look, fifteen seconds later at most', async () => {
  const { scene, look, pending } = setScene()
  await look()
  expect([scene.renewals, scene.refreshed, pending()]).toEqual([[], 1, [LOOK_MS]])
  scene.lacks = true
  await look()
  expect(scene.renewals).toEqual([2 * LOOK_MS])
})

it('renewals for names that never come to rest become rarer, down to one in an hour', async () => {
  const { scene, pass } = setScene()
  scene.lacks = true
  await pass(6 * HOUR_MS)
  const gaps = scene.renewals.slice(1).map((at, index) => (at - (scene.renewals[index] ?? 0)) / MINUTE_MS)
  expect(gaps).toEqual([1, 2, 4, 8, 16, 32, 60, 60, 60, 60])
})

it('after an hour of rest the next one is soon followed again', async () => {
  const { scene, look, pass } = setScene()
  scene.lacks = true
  await pass(10 * MINUTE_MS)
  scene.lacks = false
  await pass(HOUR_MS)
  scene.lacks = true
  const before = scene.renewals.length
  await look()
  await pass(MINUTE_MS)
  expect(scene.renewals.length - before).toBe(2)
})

it('a clock that is set back does not hold up the next renewal', async () => {
  const { scene, look, advance } = setScene()
  scene.lacks = true
  await look()
  advance(-24 * HOUR_MS)
  await look()
  expect(scene.renewals).toHaveLength(2)
})

it('after closing nothing is looked at', async () => {
  const { scene, watch, pending } = setScene()
  await watch.close()
  expect([pending(), scene.refreshed]).toEqual([[], 0])
})
