import { expect, it } from 'vitest'
import { readUntilWhole } from '../../src/files/read-again.ts'

function countingRead() {
  let reads = 0
  return () => Promise.resolve(++reads)
}

it.each<[what: string, wholeAt: number, outcome: number]>([
  ['at the first look', 1, 1],
  ['at a later look', 3, 3],
  ['never, so that the last look counts', 100, 4],
])('a value that is whole %s', async (_, wholeAt, outcome) => {
  const isWhole = (value: number) => value >= wholeAt
  expect(await readUntilWhole(countingRead(), { isWhole, looks: 4, pauseMs: 1 })).toBe(outcome)
})

it('a read that rejects is not repeated', async () => {
  const read = () => Promise.reject(new Error('is missing'))
  await expect(readUntilWhole(read, { isWhole: () => true, looks: 4, pauseMs: 1 })).rejects.toThrow(
    'is missing',
  )
})
