// Holds a value that is replaced while the process runs.
//
// Threat: a removed user or client CA must lose access even if a listener fails, so `current` is set first.
// If a listener throws, the state is stale, and the next `publish` calls all listeners again, also for an equal value.

import { errorMessage, NotAppliedError } from '../errors/errors.ts'
import type { Log } from '../observability/log.ts'

/** `stale`: the value in force differs from its source. The reason is public, so it contains no username. */
export type ValueState =
  | { readonly kind: 'fresh' }
  | { readonly kind: 'stale'; readonly reason: string; readonly isTransient?: true | undefined }

export interface InForce<T> {
  readonly current: T
  readonly state: ValueState
  readonly loads: Loads
  readonly onChange: (listener: ChangeListener<T>) => void
}

export type ChangeListener<T> = (next: T, previous: T) => void

/** Since the start. */
export interface Loads {
  readonly changed: number
  readonly unchanged: number
  readonly failed: number
  /** Milliseconds since 1970; undefined until the first good content. */
  readonly lastGoodAt: number | undefined
}

export interface ValueInForce<T> extends InForce<T> {
  /** Resolves after the change is logged. Rejects with NotAppliedError. Await each call before the next. */
  publish(next: T): Promise<void>
  /** Keeps the value and sets the state to stale. Without `report` nothing is logged or counted. */
  fail(reason: string, report?: FailureReport): void
}

export interface FailureReport {
  readonly log: () => void
  /** The content may be correct, and is tried again without a change of the file. */
  readonly isTransient?: boolean
  /** A failure with the same key as the previous failure is not logged. */
  readonly key?: string
}

export interface ValueInForceOptions<T> {
  readonly initial: T
  readonly file?: string
  readonly log?: Log
  readonly initialState?: ValueState
  readonly isSame?: ((one: T, other: T) => boolean) | undefined
  readonly logChange?: ((next: T, previous: T) => void | Promise<void>) | undefined
  readonly logRecovery?: () => void
}

const NOT_APPLIED = 'a change could not be applied; it is tried again'

export function createValueInForce<T>(options: ValueInForceOptions<T>): ValueInForce<T> {
  const { initial, initialState = { kind: 'fresh' }, isSame = Object.is, logChange, logRecovery } = options
  const listeners: ChangeListener<T>[] = []
  const lastGoodAt = initialState.kind === 'fresh' ? Date.now() : undefined
  const loads = { changed: 0, unchanged: 0, failed: 0, lastGoodAt }
  let current = initial
  let state = initialState
  // The last value that every listener accepted without an error.
  let applied = initial
  let isApplied = true
  let reported: FailureReport | undefined

  return {
    get current() {
      return current
    },
    get state() {
      return state
    },
    loads,
    onChange: (listener) => {
      listeners.push(listener)
    },
    publish,
    fail,
  }

  async function publish(next: T): Promise<void> {
    const previous = applied
    const isChange = !isApplied || !isSame(previous, next)
    current = next
    if (isChange) apply(next, previous)
    state = { kind: 'fresh' }
    loads.lastGoodAt = Date.now()
    if (reported !== undefined) logRecovery?.()
    reported = undefined
    loads[isChange ? 'changed' : 'unchanged'] += 1
    if (!isChange) return
    await logChange?.(next, previous)
  }

  function apply(next: T, previous: T): void {
    isApplied = false
    try {
      callAll(listeners, next, previous)
    } catch (error) {
      fail(NOT_APPLIED, reportOf(error, options))
      throw new NotAppliedError(error)
    }
    applied = next
    isApplied = true
  }

  function fail(reason: string, report?: FailureReport): void {
    state = { kind: 'stale', reason, isTransient: report?.isTransient === true || undefined }
    if (report === undefined) return
    const isRepeated = report.key !== undefined && report.key === reported?.key
    reported = report
    if (isRepeated) return
    loads.failed += 1
    report.log()
  }
}

function reportOf(
  error: unknown,
  { file, log }: Pick<ValueInForceOptions<unknown>, 'file' | 'log'>,
): FailureReport {
  return {
    key: `not applied: ${errorMessage(error)}`,
    log: () =>
      log?.error(
        { event: 'change-not-applied', file, err: error },
        'a change of this file is not applied; the next reload tries again',
      ),
  }
}

function callAll<T>(listeners: readonly ChangeListener<T>[], next: T, previous: T): void {
  const failures = listeners.flatMap((listener) => {
    try {
      listener(next, previous)
      return []
    } catch (error) {
      return [{ error }]
    }
  })
  const [failure] = failures
  if (failure !== undefined) throw failure.error
}
