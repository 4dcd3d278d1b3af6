import { CommandError } from '../errors/errors.ts'
import type { World } from '../app/world.ts'

export interface EarlySignals {
  /** Aborts at the first signal. */
  readonly signal: AbortSignal
  /** A world whose listeners also learn of the signal that came before they listened. */
  readonly world: World
  stopWatching(): void
}

/**
 * Notes the signals that come before the sidecar listens for them itself. One must not end the process half started,
 * and as a container's first process it would not even be ended: it would not notice.
 */
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
