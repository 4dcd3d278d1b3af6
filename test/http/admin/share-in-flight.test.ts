import { expect, it } from 'vitest'
import { shareWhileUnderWay } from '../../../src/http/admin/share-in-flight.ts'

it('makes one for all who ask together, and another for whoever comes after', async () => {
  const settle: ((outcome: number | Promise<never>) => void)[] = []
  const share = shareWhileUnderWay(() => new Promise<number>((resolve) => settle.push(resolve)))
  const together = [share(), share(), share()]
  settle[0]?.(1)
  expect(await Promise.all(together)).toEqual([1, 1, 1])
  const failing = share()
  settle[1]?.(Promise.reject(new Error('no luck')))
  await expect(failing).rejects.toThrow('no luck')
  const last = share()
  settle[2]?.(3)
  expect(await last).toBe(3)
  expect(settle).toHaveLength(3)
})
