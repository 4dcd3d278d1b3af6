// Reloads, drains or exits when a signal arrives.

import type { World, ExitCode } from './world.ts'
import { isLoggedAtReload } from '../errors/errors.ts'
import type { Log } from '../observability/log.ts'
import type { Sidecar } from './sidecar.ts'

export interface LifecycleOptions {
  readonly drainTimeoutMs: number
  /** How long the sidecar accepts connections after the signal. */
  readonly drainDelayMs: number
  readonly log: Log
  readonly onSignal: World['onSignal']
  readonly onUncaughtError?: World['onUncaughtError']
}

/**
 * Exit code 0: all transfers finished. 1: the deadline passed, a second signal arrived, a close failed, or an error was
 * not caught.
 */
export function runUntilStopped(
  sidecar: Pick<Sidecar, 'reload' | 'reopenAudit' | 'drain'>,
  options: LifecycleOptions,
): Promise<ExitCode> {
  const { log, onSignal, onUncaughtError } = options
  return new Promise((resolve) => {
    let isStopping = false
    let hasBug = false
    const ignoreReloads = onSignal(['SIGHUP'], () => {
      log.info({ event: 'reload-requested' }, 'SIGHUP received; reloading')
      sidecar.reload().catch((error: unknown) => {
        if (!isLoggedAtReload(error))
          log.error({ event: 'reload-failed', err: error }, 'reload failed; the last good values stay in use')
      })
    })
    // Always listens, because without a listener Node opens its debugger at this signal.
    const ignoreRotations = onSignal(['SIGUSR1'], () => {
      sidecar.reopenAudit()
    })
    const ignoreDebug = onSignal(['SIGUSR2'], () => {
      log.toggleDebug()
      log.warn({ event: 'debug-switched', debug: log.isDebug }, 'SIGUSR2 received; debug lines are toggled')
    })
    const ignoreStops = onSignal(['SIGTERM', 'SIGINT'], (signal) => {
      if (isStopping) {
        log.warn({ event: 'stopping-now', signal }, 'second signal received; stopping now')
        finish(1)
        return
      }
      stop(signal)
    })
    // Transfers in flight may finish, also if the error comes during a drain.
    const ignoreBugs = onUncaughtError?.((error) => {
      hasBug = true
      log.error({ event: 'uncaught-error', err: error }, 'unexpected error; the process ends after a drain')
      if (!isStopping) stop()
    })

    function stop(signal?: NodeJS.Signals): void {
      isStopping = true
      void drain(sidecar, options, signal).then((code) => {
        finish(hasBug ? 1 : code)
      })
    }

    function finish(code: ExitCode): void {
      ignoreReloads()
      ignoreRotations()
      ignoreDebug()
      ignoreStops()
      ignoreBugs?.()
      resolve(code)
    }
  })
}

async function drain(
  sidecar: Pick<Sidecar, 'drain'>,
  { drainTimeoutMs, drainDelayMs, log }: LifecycleOptions,
  signal: NodeJS.Signals | undefined,
): Promise<ExitCode> {
  log.info(
    { event: 'draining', signal, delayMs: drainDelayMs, timeoutMs: drainTimeoutMs },
    'draining; transfers in flight may finish',
  )
  try {
    const isDrained = await sidecar.drain(drainTimeoutMs, drainDelayMs)
    if (isDrained) log.info({ event: 'drained' }, 'drained; all transfers finished')
    else log.warn({ event: 'drain-deadline-passed' }, 'drain deadline passed; remaining transfers were cut')
    return isDrained ? 0 : 1
  } catch (error) {
    log.error({ event: 'close-failed', err: error }, 'a part of the sidecar did not close; stopping anyway')
    return 1
  }
}
