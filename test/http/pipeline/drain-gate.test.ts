import { setImmediate as nextTurn, setTimeout as pause } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { createDrainGate } from '../../../src/http/pipeline/drain-gate.ts'
import { blockEventLoop } from '../../fixtures/block-event-loop.ts'

it('counts a request as part of a push that comes while this process stands still', async () => {
  const gate = createDrainGate()
  const leave = gate.enter()
  let isDrained = false
  const drained = gate.drained().then(() => (isDrained = true))
  leave()
  let leaveAgain = (): void => undefined
  await nextTurn()
  // What is due comes first after that, and only then what was sent meanwhile.
  const arrival = nextTurn().then(() => {
    leaveAgain = gate.enter()
  })
  blockEventLoop(1_500)
  await arrival
  await pause(1_500)
  expect(isDrained).toBe(false)
  leaveAgain()
  await drained
})

it('is drained at once when nothing is in flight', async () => {
  await createDrainGate().drained()
})
