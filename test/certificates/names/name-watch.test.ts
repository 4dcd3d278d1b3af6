import { expect, it, onTestFinished } from 'vitest'
import { watchNames } from '../../../src/certificates/names/name-watch.ts'
import { createManualClock } from '../../fixtures/manual-clock.ts'

const LOOK_MS = 30_000
const HOUR_MS = 3_600_000
const MAX_RENEWALS_A_DAY = 24

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

  /** Advances the clock to the next look, and resolves after it. */
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

it('a name that the leaf lacks causes a renewal at the next look, at most thirty seconds later', async () => {
  const { scene, look, pending } = setScene()
  await look()
  expect([scene.renewals, scene.refreshed, pending()]).toEqual([[], 1, [LOOK_MS]])
  scene.lacks = true
  await look()
  expect(scene.renewals).toEqual([2 * LOOK_MS])
})

it('names that keep changing cause 24 renewals a day, and 24 on the next day', async () => {
  const { scene, pass } = setScene()
  scene.lacks = true
  await pass(HOUR_MS)
  expect(scene.renewals).toHaveLength(MAX_RENEWALS_A_DAY)
  await pass(23 * HOUR_MS)
  expect(scene.renewals).toHaveLength(MAX_RENEWALS_A_DAY)
  await pass(LOOK_MS)
  expect(scene.renewals).toHaveLength(MAX_RENEWALS_A_DAY + 1)
})

it('a clock that is set back does not delay the next renewal', async () => {
  const { scene, look, advance } = setScene()
  scene.lacks = true
  await look()
  advance(-24 * HOUR_MS)
  await look()
  expect(scene.renewals).toHaveLength(2)
})

it('a closed watch does not look at the names', async () => {
  const { scene, watch, pending } = setScene()
  await watch.close()
  expect([pending(), scene.refreshed]).toEqual([[], 0])
})
