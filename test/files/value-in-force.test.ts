import { describe, expect, it } from 'vitest'
import { NotAppliedError } from '../../src/errors/errors.ts'
import { createValueInForce, type ValueInForceOptions } from '../../src/files/value-in-force.ts'
import { recordedLog } from '../fixtures/recorded-log.ts'

/** A text value that records all events in order. */
function createScene(options: Partial<ValueInForceOptions<string>> = {}) {
  const events: string[] = []
  const value = createValueInForce<string>({
    initial: 'one',
    logChange: (next, previous) => {
      events.push(`log ${previous} > ${next}`)
    },
    logRecovery: () => {
      events.push('log recovery')
    },
    ...options,
  })
  const fail = (reason: string, key?: string) => {
    const log = () => events.push(`log ${reason}`)
    value.fail(reason, key === undefined ? { log } : { log, key })
  }
  return { value, events, fail }
}

describe('a change', () => {
  it('sets the value, then calls the listeners, then is logged', async () => {
    const { value, events } = createScene()
    for (const name of ['first', 'second']) {
      value.onChange((next, previous) => events.push(`${name} ${previous} > ${next}, now ${value.current}`))
    }

    await value.publish('two')

    expect(events).toEqual(['first one > two, now two', 'second one > two, now two', 'log one > two'])
    expect(value.loads).toMatchObject({ changed: 1, failed: 0 })
  })

  it('ends when it is logged', async () => {
    let isLogged = false
    const logChange = () => Promise.resolve().then(() => void (isLogged = true))
    const { value } = createScene({ logChange })

    await value.publish('two')

    expect(isLogged).toBe(true)
  })

  it('to an equal value calls no listener, but the new value is in force', async () => {
    const { value, events } = createScene({ isSame: (one, other) => one.trim() === other.trim() })
    value.onChange(() => events.push('called'))

    await value.publish('one ')

    expect([value.current, events]).toEqual(['one ', []])
    expect(value.loads).toMatchObject({ changed: 0, unchanged: 1, failed: 0 })
  })
})

describe('a listener that throws', () => {
  function createThrowingScene() {
    const { log, lines } = recordedLog()
    const scene = createScene({ file: 'users', log })
    const obstacle: { current?: Error } = { current: new Error('refused') }
    scene.value.onChange((next) => {
      scene.events.push(`called with ${next}`)
      if (obstacle.current !== undefined) throw obstacle.current
    })
    scene.value.onChange((next) => scene.events.push(`other called with ${next}`))
    return { ...scene, obstacle, lines }
  }

  it('does not bring the previous value back, and does not prevent calls of other listeners', async () => {
    const { value, events, obstacle } = createThrowingScene()

    await expect(value.publish('two')).rejects.toEqual(new NotAppliedError(obstacle.current))

    expect(value.current).toBe('two')
    expect(value.state).toEqual({ kind: 'stale', reason: 'a change could not be applied; it is tried again' })
    expect(events).toEqual(['called with two', 'other called with two'])
    expect(value.loads.changed).toBe(0)
  })

  it('is called again with the same value, and the change is logged when the call succeeds', async () => {
    const { value, events, obstacle } = createThrowingScene()
    await value.publish('two').catch(() => undefined)
    events.length = 0
    delete obstacle.current

    await value.publish('two')

    expect(events).toEqual(['called with two', 'other called with two', 'log recovery', 'log one > two'])
    expect([value.state, value.loads.changed]).toEqual([{ kind: 'fresh' }, 1])
  })

  it('is logged with its own error, once while the error stays the same', async () => {
    const { value, obstacle, lines } = createThrowingScene()
    const message = 'a change of this file is not applied; the next reload tries again'

    for (const error of ['refused', 'refused', 'other']) {
      obstacle.current = new Error(error)
      await value.publish('two').catch(() => undefined)
    }

    expect(lines).toMatchObject([
      { level: 50, file: 'users', err: { message: 'refused' }, msg: message },
      { level: 50, file: 'users', err: { message: 'other' }, msg: message },
    ])
    expect(value.loads).toMatchObject({ changed: 0, failed: 2 })
  })

  it('is called with the previous value when that comes back, because other listeners use the newer one', async () => {
    const { value, events, obstacle } = createThrowingScene()
    await value.publish('two').catch(() => undefined)
    events.length = 0
    delete obstacle.current

    await value.publish('one')

    expect(events.slice(0, 2)).toEqual(['called with one', 'other called with one'])
  })
})

describe('a failure', () => {
  it('keeps the value and makes it stale until the next good value', async () => {
    const { value, events, fail } = createScene()

    fail('is missing', 'missing')
    expect([value.current, value.state]).toEqual(['one', { kind: 'stale', reason: 'is missing' }])
    await value.publish('one')

    expect(value.state).toEqual({ kind: 'fresh' })
    expect(events).toEqual(['log is missing', 'log recovery'])
  })

  it.each<[what: string, keys: readonly (string | undefined)[], logged: number]>([
    ['is logged once for a key', ['a', 'a', 'a'], 1],
    ['is logged again after a failure with another key', ['a', 'b', 'a'], 3],
    ['without a key is always logged', [undefined, undefined], 2],
  ])('%s', (_, keys, logged) => {
    const { value, events, fail } = createScene()

    for (const key of keys) fail('reason', key)

    expect(events).toHaveLength(logged)
    expect(value.loads.failed).toBe(logged)
  })

  it('is logged again after a recovery', async () => {
    const { value, events, fail } = createScene()
    fail('reason', 'a')
    await value.publish('one')
    fail('reason', 'a')
    expect(events).toEqual(['log reason', 'log recovery', 'log reason'])
  })

  it('without a report changes only the state, and no recovery is logged', async () => {
    const { value, events } = createScene()
    value.fail('not there yet')
    expect(value.state).toEqual({ kind: 'stale', reason: 'not there yet' })
    await value.publish('one')
    expect(events).toEqual([])
  })
})
