import { setImmediate as nextTurn, setTimeout as pause } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { createDrainGate } from '../../../src/http/pipeline/drain-gate.ts'
import { blockEventLoop } from '../../fixtures/block-event-loop.ts'

const TRANSFER = 'a transfer'

function scene() {
  const open = new Set<string>()
  const transfers = { open, begun: 0 }
  const begin = (): void => {
    transfers.begun += 1
    open.add(TRANSFER)
  }
  const end = (): void => void open.delete(TRANSFER)
  return { gate: createDrainGate(transfers), begin, end }
}

it('waits for a transfer of the same push that arrives while this process is suspended', async () => {
  const { gate, begin, end } = scene()
  begin()
  let isDrained = false
  const drained = gate.drained().then(() => (isDrained = true))
  end()
  await nextTurn()
  // Timers that are due fire first after the suspension, and only then what clients sent meanwhile.
  const arrival = nextTurn().then(begin)
  blockEventLoop(1_500)
  await arrival
  await pause(1_500)
  expect(isDrained).toBe(false)
  end()
  await drained
})

// Concurrent, because they only wait.
it.concurrent(
  'waits a whole second again after a transfer that began and ended between two looks',
  async () => {
    const { gate, begin, end } = scene()
    begin()
    let isDrained = false
    const drained = gate.drained().then(() => (isDrained = true))
    end()
    for (let i = 0; i < 20; i++) {
      await pause(100)
      begin()
      end()
    }
    expect(isDrained).toBe(false)
    await drained
  },
)

it.concurrent('is drained at once if nothing is in flight when stopping', async () => {
  const { gate } = scene()
  gate.begin('stopping')
  await gate.drained()
})

it.concurrent(
  'waits a quiet second when leaving, because a client may still use its connection',
  async () => {
    const { gate, begin, end } = scene()
    gate.begin('leaving')
    let isDrained = false
    const drained = gate.drained().then(() => (isDrained = true))
    await pause(500)
    begin()
    end()
    await pause(800)
    expect(isDrained).toBe(false)
    await drained
  },
)
