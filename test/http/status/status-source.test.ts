import { expect, it } from 'vitest'
import { createStatusSource } from '../../../src/http/status/status-source.ts'
import { busySnapshot } from '../../fixtures/status-snapshots.ts'

const PLACES = [
  { events: '/events', links: [] },
  { events: '/-/status/events', links: [] },
] as const

it('shares one snapshot, but no page with other names or another place', async () => {
  let composed = 0
  const source = createStatusSource(() => {
    composed += 1
    return Promise.resolve(busySnapshot(2))
  })
  const pages = await Promise.all(
    PLACES.flatMap((place) => [source.page('users', place), source.page('anyone', place)]),
  )
  expect(composed).toBe(1)
  const facts = pages.map(({ text }) => [/data-events="([^"]*)"/.exec(text)?.[1], text.includes('alice')])
  expect(facts).toEqual([
    ['/events', true],
    ['/events', false],
    ['/-/status/events', true],
    ['/-/status/events', false],
  ])
})
