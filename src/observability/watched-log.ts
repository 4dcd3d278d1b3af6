// Passes each line of the log to listeners.

import type { EventName } from './log-events.ts'
import type { Log } from './log.ts'

export interface LoggedFields {
  readonly event: EventName
  readonly [field: string]: unknown
}

export type LogListener = (fields: LoggedFields, sentence: string) => void

/** Listeners also get the lines that the log level leaves out. They must not throw. */
export function watchLog(log: Log, listeners: readonly LogListener[]): Log {
  const notify: LogListener = (fields, sentence) => {
    for (const listener of listeners) listener(fields, sentence)
  }
  return {
    debug: (fields, sentence) => {
      log.debug(fields, sentence)
      notify(fields, sentence)
    },
    info: (fields, sentence) => {
      log.info(fields, sentence)
      notify(fields, sentence)
    },
    warn: (fields, sentence) => {
      log.warn(fields, sentence)
      notify(fields, sentence)
    },
    error: (fields, sentence) => {
      log.error(fields, sentence)
      notify(fields, sentence)
    },
    get isDebug() {
      return log.isDebug
    },
    toggleDebug: () => {
      log.toggleDebug()
    },
  }
}
