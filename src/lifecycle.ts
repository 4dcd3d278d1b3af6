// What each signal means: reload, drain, give up.

import type { World, ExitCode } from './commands/world.ts'
import type { Log } from './log.ts'
import type { Sidecar } from './sidecar.ts'

export interface LifecycleOptions {
  readonly drainTimeoutMs: number
  readonly log: Log
  readonly onSignal: World['onSignal']
}

/**
 * Keeps a sidecar running until a signal ends it. Resolves to the exit code: 0 when everything in flight finished, 1
 * when the deadline passed or a second signal came.
 */
export function runUntilStopped(
  sidecar: Sidecar,
  { drainTimeoutMs, log, onSignal }: LifecycleOptions,
): Promise<ExitCode> {
  return new Promise((resolve, reject) => {
    let isStopping = false
    const stopReloads = onSignal(['SIGHUP'], () => {
      log.info('reload asked for by SIGHUP')
      // What went wrong is in the log already; the last good values stay.
      sidecar.reload().catch(() => undefined)
    })
    const stopListening = onSignal(['SIGTERM', 'SIGINT'], (signal) => {
      if (isStopping) {
        log.warn({ signal }, 'second signal: stopping at once')
        finish(1)
        return
      }
      isStopping = true
      log.info({ signal, timeoutMs: drainTimeoutMs }, 'draining: transfers in flight may finish')
      sidecar.drain(drainTimeoutMs).then((isDrained) => {
        if (isDrained) log.info('drained')
        else log.warn('drain deadline passed: what was still in flight has been cut')
        finish(isDrained ? 0 : 1)
      }, reject)
    })

    function finish(code: ExitCode): void {
      stopReloads()
      stopListening()
      resolve(code)
    }
  })
}
