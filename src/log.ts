import { pino, type DestinationStream, type Logger } from 'pino'
import pretty from 'pino-pretty'

export type Log = Logger

export type LogLevel = 'debug' | 'info' | 'warn' | 'error'

export interface LogOptions {
  readonly level: LogLevel
  readonly format: 'json' | 'pretty'
  readonly destination: NodeJS.WritableStream
}

/**
 * A logger that writes one line per event to `destination`: JSON for machines, or a readable form for a terminal.
 * Never hand it credentials, hashes or keys; it has no filter that would save you.
 */
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
