import { describe, expect, it, vi } from 'vitest'
import { runUntilStopped } from '../../src/app/lifecycle.ts'
import type { Sidecar } from '../../src/app/sidecar.ts'
import { InvalidFileError } from '../../src/errors/errors.ts'
import { recordedLog } from '../fixtures/recorded-log.ts'

/** Runs a sidecar whose parts the test chooses; `signal` calls the listeners as a signal does. */
function run(parts: Partial<Pick<Sidecar, 'reload' | 'reopenAudit' | 'drain'>>) {
  const { log, lines } = recordedLog()
  const listeners = new Map<NodeJS.Signals, (signal: NodeJS.Signals) => void>()
  const bugListeners = new Set<(error: Error) => void>()
  const exitCode = runUntilStopped(
    {
      reload: () => Promise.resolve(),
      reopenAudit: () => undefined,
      drain: () => Promise.resolve(true),
      ...parts,
    },
    {
      log,
      drainTimeoutMs: 1_000,
      drainDelayMs: 0,
      onSignal: (signals, listener) => {
        for (const signal of signals) listeners.set(signal, listener)
        return () => {
          for (const signal of signals) listeners.delete(signal)
        }
      },
      onUncaughtError: (listener) => {
        bugListeners.add(listener)
        return () => bugListeners.delete(listener)
      },
    },
  )
  const signal = (name: NodeJS.Signals) => listeners.get(name)?.(name)
  const errors = () => lines.filter(({ level }) => level === 50)
  const failUncaught = (message: string) => {
    for (const listener of bugListeners) listener(new Error(message))
  }
  return { exitCode, signal, failUncaught, errors, listeners, bugListeners, log, lines }
}

describe('a stop', () => {
  it('that fails to close a part is logged once and exits 1', async () => {
    const { exitCode, signal, errors, listeners } = run({
      drain: () => Promise.reject(new Error('still open')),
    })
    signal('SIGTERM')
    expect(await exitCode).toBe(1)
    expect(errors()).toMatchObject([{ err: { message: 'still open' } }])
    expect(listeners.size).toBe(0)
  })
})

describe('an uncaught error', () => {
  const scene = () => {
    const drain = vi.fn(() => Promise.resolve(true))
    return { ...run({ drain }), drain }
  }
  const eventsOf = ({ lines }: ReturnType<typeof scene>) => lines.map(({ event }) => event)

  it('begins a drain and exits 1', async () => {
    const running = scene()
    running.failUncaught('planted')
    expect(running.errors()).toMatchObject([{ event: 'uncaught-error', err: { message: 'planted' } }])
    expect(await running.exitCode).toBe(1)
    expect(eventsOf(running)).toEqual(['uncaught-error', 'draining', 'drained'])
    expect(running.bugListeners.size).toBe(0)
  })

  it('during a drain is no second signal: transfers may finish, and the exit code is 1', async () => {
    const running = scene()
    running.signal('SIGTERM')
    running.failUncaught('planted')
    expect(await running.exitCode).toBe(1)
    expect(eventsOf(running)).toEqual(['draining', 'uncaught-error', 'drained'])
    expect(running.drain).toHaveBeenCalledOnce()
  })
})

describe('a reload', () => {
  it.each<[what: string, error: Error, logged: readonly string[]]>([
    ['that rejects with an error of a file logs nothing more', new InvalidFileError('users', 'is empty'), []],
    ['that rejects with another error logs it', new Error('unexpected'), ['unexpected']],
  ])('%s', async (_what, error, logged) => {
    const { signal, errors } = run({ reload: () => Promise.reject(error) })
    signal('SIGHUP')
    await new Promise(setImmediate)
    expect(errors().map(({ err }) => (err as Error).message)).toEqual(logged)
  })
})

describe('SIGUSR2', () => {
  it('switches debug lines on, and the next one off', () => {
    const { signal, log, lines } = run({})
    const debug = (name: string) => {
      log.debug({ event: 'user-added', user: name }, 'a user was added')
    }
    debug('before')
    signal('SIGUSR2')
    debug('while on')
    signal('SIGUSR2')
    debug('after')
    expect(lines).toMatchObject([
      { event: 'debug-switched', debug: true },
      { event: 'user-added', user: 'while on' },
      { event: 'debug-switched', debug: false },
    ])
  })
})
