// Writes the access log, with a bounded number of unverified requests.
// Threat: a client without a login causes 25,000 lines a second. So unverified requests have a limit per source.

import { sourceOf } from '../../client-address.ts'
import type { Log, LogFields } from '../../../observability/log.ts'
import { createBoundedLog } from '../../../observability/bounded-log.ts'

export interface AccessLine {
  readonly event: 'request'
  readonly address: string
  readonly user: string | undefined
  readonly [field: string]: unknown
}

export interface AccessLog {
  request(line: AccessLine): void
  close(): void
}

const WINDOW_MS = 60_000

const LINES_PER_WINDOW = 60

// At most 200 lines a second in total: 60 lines for each of 200 sources in a minute.
const MAX_SOURCES = 200

interface Unverified {
  readonly source: string | undefined
  readonly message: string
  readonly fields: LogFields<'info'>
}

export function createAccessLog(log: Log): AccessLog {
  const unverified = createBoundedLog<Unverified>({
    windowMs: WINDOW_MS,
    keyOf: ({ source, message }) => source ?? message,
    linesOf: () => LINES_PER_WINDOW,
    maxKeysOf: () => MAX_SOURCES,
    write: ({ fields, message }) => {
      log.info(fields, message)
    },
    writeCounted: ({ source }, count) => {
      log.info({ event: 'more-requests', source, count }, 'more requests without a verified user')
    },
    writeUnlisted: (count) => {
      log.info(
        { event: 'more-requests-unlisted', count },
        'more requests without a verified user, from sources that are not listed',
      )
    },
  })

  return {
    request: (line) => {
      if (line.user !== undefined) log.info(line, 'request')
      else unverified.add({ source: sourceOf(line.address), message: 'request', fields: line })
    },
    close: () => {
      unverified.close()
    },
  }
}
