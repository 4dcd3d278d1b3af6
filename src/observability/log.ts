// Creates the logger.

import { createRequire } from 'node:module'
import { pino, type DestinationStream } from 'pino'
import type pinoPretty from 'pino-pretty'
import type { EventAt, EventName, LogLevel } from './log-events.ts'

export type { LogLevel }

/** `event` is a stable name for programs. The sentence is for people and may change. */
export interface LogFields<L extends LogLevel = LogLevel> {
  readonly event: EventAt<L> & EventName
  readonly [field: string]: unknown
}

type Write<L extends LogLevel> = (fields: LogFields<L>, sentence: string) => void

/** Callers must not pass credentials, hashes or keys, because the logger does not filter them. */
export interface Log {
  readonly debug: Write<'debug'>
  readonly info: Write<'info'>
  readonly warn: Write<'warn'>
  readonly error: Write<'error'>
  /** Check this before you build fields for `debug` in code that runs for every request. */
  readonly isDebug: boolean
  /** Switches to `debug`, or back to the level at start (to `info` if the level at start was `debug`). */
  toggleDebug(): void
}

export interface LogOptions {
  readonly level: LogLevel
  readonly format: 'json' | 'pretty'
  readonly destination: NodeJS.WritableStream
}

export function createLog({ level, format, destination }: LogOptions): Log {
  const stream = format === 'pretty' ? prettyStream(destination) : destination
  const logger = pino({ level, base: null, timestamp: pino.stdTimeFunctions.isoTime }, stream)
  let isDebug = level === 'debug'
  return {
    // Each call reads the method again, because pino replaces its methods when the level changes.
    debug: (fields, sentence) => {
      logger.debug(fields, sentence)
    },
    info: (fields, sentence) => {
      logger.info(fields, sentence)
    },
    warn: (fields, sentence) => {
      logger.warn(fields, sentence)
    },
    error: (fields, sentence) => {
      logger.error(fields, sentence)
    },
    get isDebug() {
      return isDebug
    },
    toggleDebug: () => {
      isDebug = !isDebug
      if (isDebug) logger.level = 'debug'
      else logger.level = level === 'debug' ? 'info' : level
    },
  }
}

// Loaded on demand, because a server whose log is JSON does not need it.
function prettyStream(destination: NodeJS.WritableStream): DestinationStream {
  const pretty = createRequire(import.meta.url)('pino-pretty') as typeof pinoPretty
  return pretty({
    destination,
    colorize: true,
    singleLine: true,
    ignore: 'pid,hostname',
    translateTime: 'SYS:HH:MM:ss',
    sync: true,
  })
}
