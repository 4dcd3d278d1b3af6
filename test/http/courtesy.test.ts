import { expect, it } from 'vitest'
import { createCourtesy } from '../../src/http/courtesy.ts'

it('tells 32 at a time that they are refused, and 32 in a second', () => {
  const time = { now: 0 }
  const courtesy = createCourtesy(() => time.now)
  const places = Array.from({ length: 40 }, () => courtesy.take())
  const given = places.filter((place) => place !== undefined)
  expect(given).toHaveLength(32)
  time.now = 5_000
  expect(courtesy.take()).toBeUndefined()
  given.forEach((giveBack) => {
    giveBack()
  })
  const again = Array.from({ length: 40 }, () => {
    const giveBack = courtesy.take()
    giveBack?.()
    return giveBack
  })
  expect(again.filter((place) => place !== undefined)).toHaveLength(32)
  time.now = 6_000
  expect(courtesy.take()).toBeDefined()
})
