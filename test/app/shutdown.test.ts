import { describe, expect, it } from 'vitest'
import { closeOnFailure, shutDown, type RunningParts } from '../../src/app/shutdown.ts'

// From the part that uses most to the part that all others use.
const ORDER = [
  ...['listener', 'admin', 'attempts', 'pool', 'audit', 'accessLog', 'upstream', 'limits'],
  ...['clientCa', 'writeFreeze', 'users', 'certificate'],
]

const AT_ONCE = { delayMs: 0, timeoutMs: 60_000 }

/** Parts that record each step of a shutdown. Each close takes a turn of the event loop. */
function recordedParts({ drained = Promise.resolve() } = {}) {
  const steps: string[] = []
  const step = (name: string) => () => void steps.push(name)
  const slowStep = (name: string) => async () => {
    await new Promise(setImmediate)
    steps.push(name)
  }
  const part = (name: string) => ({ close: slowStep(name) })
  const parts: RunningParts = {
    gate: { begin: (phase) => void steps.push(phase), drained: () => drained },
    writeFreeze: { ...part('writeFreeze'), stop: step('no waiting writes') },
    certificate: part('certificate'),
    users: part('users'),
    clientCa: part('clientCa'),
    limits: { audit: part('limits') },
    upstream: part('upstream'),
    accessLog: part('accessLog'),
    audit: part('audit'),
    pool: part('pool'),
    attempts: part('attempts'),
    admin: part('admin'),
    listener: {
      ...part('listener'),
      announceEnd: () => void steps.push('end announced'),
      stopAccepting: slowStep('no new connections'),
      firstRequestsAnswered: slowStep('first requests'),
    },
  }
  return { parts, steps }
}

describe('a shutdown', () => {
  it('turns unready, refuses connections, and closes each part before the parts that it uses', async () => {
    const { parts, steps } = recordedParts()
    expect(await shutDown(parts, AT_ONCE)).toBe(true)
    expect(steps).toEqual(['stopping', 'no waiting writes', 'no new connections', ...ORDER])
  })

  it('closes nothing before the requests in flight have finished', async () => {
    const { promise: drained, resolve: finishRequests } = deferred()
    const { parts, steps } = recordedParts({ drained })
    const isDrained = shutDown(parts, AT_ONCE)
    for (let turns = 0; turns < 5; turns += 1) await new Promise(setImmediate)
    expect(steps).toEqual(['stopping', 'no waiting writes', 'no new connections'])
    finishRequests()
    expect(await isDrained).toBe(true)
    expect(steps).toHaveLength(3 + ORDER.length)
  })

  it('with a delay refuses nothing, accepts until the delay ends, and waits for the first requests', async () => {
    const { parts, steps } = recordedParts()
    const isDrained = shutDown(parts, { delayMs: 50, timeoutMs: 60_000 })
    for (let turns = 0; turns < 5; turns += 1) await new Promise(setImmediate)
    expect(steps).toEqual(['leaving', 'end announced'])
    expect(await isDrained).toBe(true)
    expect(steps).toEqual([
      'leaving',
      'end announced',
      'no new connections',
      'no waiting writes',
      'first requests',
      ...ORDER,
    ])
  })

  it('counts the timeout from the end of the delay', async () => {
    const { promise: drained, resolve: finishRequests } = deferred()
    const { parts } = recordedParts({ drained })
    const isDrained = shutDown(parts, { delayMs: 100, timeoutMs: 5_000 })
    setTimeout(finishRequests, 200)
    expect(await isDrained).toBe(true)
    const { parts: stuck } = recordedParts({ drained: deferred().promise })
    expect(await shutDown(stuck, { delayMs: 100, timeoutMs: 1 })).toBe(false)
  })

  it('closes everything at the deadline, and reports that requests were cut', async () => {
    const { parts, steps } = recordedParts({ drained: deferred().promise })
    expect(await shutDown(parts, { delayMs: 0, timeoutMs: 1 })).toBe(false)
    expect(steps).toEqual(['stopping', 'no waiting writes', 'no new connections', ...ORDER])
  })

  it('closes all other parts when one does not close, and rejects with its error', async () => {
    const { parts, steps } = recordedParts()
    const error = new Error('still open')
    await expect(shutDown({ ...parts, admin: failing(error) }, AT_ONCE)).rejects.toBe(error)
    expect(steps.slice(3)).toEqual(ORDER.filter((name) => name !== 'admin'))
  })

  it('rejects with one error that names all parts that do not close', async () => {
    const { parts, steps } = recordedParts()
    const open = {
      ...parts,
      admin: failing(new Error('still open')),
      users: failing(new Error('still read')),
    }
    await expect(shutDown(open, AT_ONCE)).rejects.toThrow('still open; still read')
    expect(steps.slice(3)).toEqual(ORDER.filter((name) => name !== 'admin' && name !== 'users'))
  })
})

describe('a start', () => {
  it('that fails closes the parts that are open, in the same order, and rejects with its error', async () => {
    const { parts, steps } = recordedParts()
    const { certificate, users, upstream } = parts
    const open = { certificate, users, upstream }
    await expect(closeOnFailure(Promise.reject(new Error('address in use')), open)).rejects.toThrow(
      'address in use',
    )
    expect(steps).toEqual(['upstream', 'users', 'certificate'])
  })

  it('that fails rejects with its own error even if an open part does not close', async () => {
    const { parts, steps } = recordedParts()
    const { certificate } = parts
    const open = { certificate, users: failing(new Error('still read')) }
    await expect(closeOnFailure(Promise.reject(new Error('address in use')), open)).rejects.toThrow(
      'address in use',
    )
    expect(steps).toEqual(['certificate'])
  })

  it('that succeeds closes nothing', async () => {
    const { parts, steps } = recordedParts()
    expect(await closeOnFailure(Promise.resolve('bound'), parts)).toBe('bound')
    expect(steps).toEqual([])
  })
})

/** A part that does not close. */
function failing(error: Error) {
  return { close: () => Promise.reject(error) }
}

function deferred(): { readonly promise: Promise<void>; readonly resolve: () => void } {
  let resolve = (): void => undefined
  const promise = new Promise<void>((done) => {
    resolve = done
  })
  return { promise, resolve }
}
