// Maps signals to reload, drain and exit.

import type { World, ExitCode } from './world.ts'
import type { Log } from '../observability/log.ts'
import type { Sidecar } from './sidecar.ts'

export interface LifecycleOptions {
  readonly drainTimeoutMs: number
  readonly log: Log
  readonly onSignal: World['onSignal']
}

/** Exit code 0: all transfers finished. 1: the drain deadline passed, or a second signal arrived. */
export function runUntilStopped(
  sidecar: Sidecar,
  { drainTimeoutMs, log, onSignal }: LifecycleOptions,
): Promise<ExitCode> {
  return new Promise((resolve, reject) => {
    let isStopping = false
    const ignoreReloads = onSignal(['SIGHUP'], () => {
      log.info('SIGHUP received; reloading')
      // The reload has logged its errors and kept the last good values.
      sidecar.reload().catch(() => undefined)
    })
    const ignoreStops = onSignal(['SIGTERM', 'SIGINT'], (signal) => {
      if (isStopping) {
        log.warn({ signal }, 'second signal received; stopping now')
        finish(1)
        return
      }
      isStopping = true
      log.info({ signal, timeoutMs: drainTimeoutMs }, 'draining; transfers in flight may finish')
      sidecar.drain(drainTimeoutMs).then((isDrained) => {
        if (isDrained) log.info('drained; all transfers finished')
        else log.warn('drain deadline passed; remaining transfers were cut')
        finish(isDrained ? 0 : 1)
      }, reject)
    })

    function finish(code: ExitCode): void {
      ignoreReloads()
      ignoreStops()
      resolve(code)
    }
  })
}
