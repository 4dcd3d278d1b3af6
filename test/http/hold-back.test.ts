import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { createHoldBack } from '../../src/http/hold-back.ts'

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

it('holds for its time, and no more than so many at once', async () => {
  const hold = createHoldBack({ heldMs: 250, maxHeld: 2 })
  const over: string[] = []
  const wait = (name: string) => hold.wait().then(() => over.push(name))
  const all = [wait('first'), wait('second'), wait('third')]
  await vi.advanceTimersByTimeAsync(249)
  expect(over).toEqual(['third'])
  await vi.advanceTimersByTimeAsync(1)
  expect(over).toEqual(['third', 'first', 'second'])
  all.push(wait('fourth'))
  await vi.advanceTimersByTimeAsync(249)
  expect(over).not.toContain('fourth')
  await vi.advanceTimersByTimeAsync(1)
  await Promise.all(all)
})
