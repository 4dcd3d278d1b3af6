// Remembers signals that arrive while a command starts.

import { CommandError } from '../errors/errors.ts'
import type { World } from '../app/world.ts'

export interface EarlySignals {
  readonly signal: AbortSignal
  /** Its `onSignal` also calls the listener for a signal that arrived earlier. */
  readonly world: World
  stopWatching(): void
}

/** Without a listener, a signal would end a starting process, and process 1 of a container would ignore it. */
export function watchSignals(world: World): EarlySignals {
  const controller = new AbortController()
  let missed: NodeJS.Signals | undefined
  const stopWatching = world.onSignal(['SIGTERM', 'SIGINT'], (signal) => {
    missed ??= signal
    controller.abort(new CommandError(`stopped by ${signal}`))
  })
  const onSignal: World['onSignal'] = (signals, listener) => {
    const signal = missed
    if (signal !== undefined && signals.includes(signal)) {
      queueMicrotask(() => {
        listener(signal)
      })
    }
    return world.onSignal(signals, listener)
  }
  return { signal: controller.signal, world: { ...world, onSignal }, stopWatching }
}
