// Tests every way to change a users file, with the code that follows it in a running sidecar.

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { METHODS } from './run-ways-to-change.ts'
import { isStress } from '../fixtures/repetitions.ts'
import { withoutFileEvents } from './no-file-events.ts'
import { createPlace, outcomeOf } from './users-place.ts'

const POLL_MS = 200

// The list has stand-ins for vim and rsync, so a machine without them tests the same changes.
const cases = METHODS.filter(({ isThere }) => isThere).flatMap((method) =>
  method.layouts.map((layout) => ({ ...method, layout })),
)

// Polls look at the file the same way as events do. So usually one layout of each method is enough.
const casesWithPolls = isStress ? cases : cases.filter(({ layout, layouts }) => layout === layouts[0])

describe('with events only', () => {
  it.concurrent.each(cases)('$method ($layout) is in force within a second, whole', async (one) => {
    await expectInForce(one, 'off', 1_000)
  })
})

describe('with polls only', () => {
  let restore = (): void => undefined
  beforeAll(() => {
    restore = withoutFileEvents()
  })
  afterAll(() => {
    restore()
  })

  it.concurrent.each(casesWithPolls)(
    '$method ($layout) is in force within the poll and half a second, whole',
    async (one) => {
      await expectInForce(one, POLL_MS, POLL_MS + 500)
    },
  )
})

async function expectInForce(
  { layout, change, names }: (typeof cases)[number],
  pollMs: number | 'off',
  deadlineMs: number,
): Promise<void> {
  const place = createPlace(layout)
  try {
    const outcome = await outcomeOf(place, { change: () => change(place), pollMs, deadlineMs })
    expect(outcome).toMatchObject({ swaps: 1, names, isFresh: true })
  } finally {
    place.remove()
  }
}
