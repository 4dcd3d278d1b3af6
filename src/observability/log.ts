// Creates the logger.

import { pino, type DestinationStream, type Logger } from 'pino'
import pretty from 'pino-pretty'

export type Log = Logger

export type LogLevel = 'debug' | 'info' | 'warn' | 'error'

export interface LogOptions {
  readonly level: LogLevel
  readonly format: 'json' | 'pretty'
  readonly destination: NodeJS.WritableStream
}

/** Callers must not pass credentials, hashes or keys, because the logger does not filter them. */
export function createLog({ level, format, destination }: LogOptions): Log {
  const stream: DestinationStream =
    format === 'pretty'
      ? pretty({
          destination,
          colorize: true,
          singleLine: true,
          ignore: 'pid,hostname',
          translateTime: 'SYS:HH:MM:ss',
          sync: true,
        })
      : destination
  return pino({ level, base: null, timestamp: pino.stdTimeFunctions.isoTime }, stream)
}
