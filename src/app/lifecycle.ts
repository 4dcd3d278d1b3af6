// Reloads, drains or exits when a signal arrives.

import type { World, ExitCode } from './world.ts'
import { isLoggedAtReload } from '../errors/errors.ts'
import type { Log } from '../observability/log.ts'
import type { Sidecar } from './sidecar.ts'

export interface LifecycleOptions {
  readonly drainTimeoutMs: number
  readonly log: Log
  readonly onSignal: World['onSignal']
}

/** Exit code 0: all transfers finished. 1: the deadline passed, a second signal arrived, or a close failed. */
export function runUntilStopped(
  sidecar: Pick<Sidecar, 'reload' | 'drain'>,
  { drainTimeoutMs, log, onSignal }: LifecycleOptions,
): Promise<ExitCode> {
  return new Promise((resolve) => {
    let isStopping = false
    const ignoreReloads = onSignal(['SIGHUP'], () => {
      log.info('SIGHUP received; reloading')
      sidecar.reload().catch((error: unknown) => {
        if (!isLoggedAtReload(error))
          log.error({ err: error }, 'reload failed; the last good values stay in use')
      })
    })
    const ignoreStops = onSignal(['SIGTERM', 'SIGINT'], (signal) => {
      if (isStopping) {
        log.warn({ signal }, 'second signal received; stopping now')
        finish(1)
        return
      }
      isStopping = true
      log.info({ signal, timeoutMs: drainTimeoutMs }, 'draining; transfers in flight may finish')
      sidecar.drain(drainTimeoutMs).then(
        (isDrained) => {
          if (isDrained) log.info('drained; all transfers finished')
          else log.warn('drain deadline passed; remaining transfers were cut')
          finish(isDrained ? 0 : 1)
        },
        (error: unknown) => {
          log.error({ err: error }, 'a part of the sidecar did not close; stopping anyway')
          finish(1)
        },
      )
    })

    function finish(code: ExitCode): void {
      ignoreReloads()
      ignoreStops()
      resolve(code)
    }
  })
}
