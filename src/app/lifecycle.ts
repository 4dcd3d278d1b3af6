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
}

/** Exit code 0: all transfers finished. 1: the deadline passed, a second signal arrived, or a close failed. */
export function runUntilStopped(
  sidecar: Pick<Sidecar, 'reload' | 'reopenAudit' | 'drain'>,
  { drainTimeoutMs, drainDelayMs, log, onSignal }: LifecycleOptions,
): Promise<ExitCode> {
  return new Promise((resolve) => {
    let isStopping = false
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
      isStopping = true
      log.info(
        { event: 'draining', signal, delayMs: drainDelayMs, timeoutMs: drainTimeoutMs },
        'draining; transfers in flight may finish',
      )
      sidecar.drain(drainTimeoutMs, drainDelayMs).then(
        (isDrained) => {
          if (isDrained) log.info({ event: 'drained' }, 'drained; all transfers finished')
          else
            log.warn(
              { event: 'drain-deadline-passed' },
              'drain deadline passed; remaining transfers were cut',
            )
          finish(isDrained ? 0 : 1)
        },
        (error: unknown) => {
          log.error(
            { event: 'close-failed', err: error },
            'a part of the sidecar did not close; stopping anyway',
          )
          finish(1)
        },
      )
    })

    function finish(code: ExitCode): void {
      ignoreReloads()
      ignoreRotations()
      ignoreDebug()
      ignoreStops()
      resolve(code)
    }
  })
}
