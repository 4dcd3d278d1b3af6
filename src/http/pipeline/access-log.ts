// The access log: a line for each request, in bounded number where nobody was verified.
//
// Threat: one client without a login wrote 25,000 lines a second. So requests without a verified user have so many
// lines per source and minute, and one with a count. Each request of a verified user has its line.

import { sourceOf } from '../client-address.ts'
import type { Log } from '../../observability/log.ts'
import { createBoundedLog } from '../../observability/bounded-log.ts'

/** What is known of a request that is over. */
export interface AccessLine {
  readonly address: string
  /** The verified user. */
  readonly user: string | undefined
  readonly [field: string]: unknown
}

export interface AccessLog {
  request(line: AccessLine): void
  /** A request that makes no URL, and so never reached the pipeline. */
  unroutable(reason: string): void
  /** Writes what has only been counted. */
  close(): void
}

const WINDOW_MS = 60_000

// A docker client begins each pull and push with a request without a login. Fleets behind one address have more of
// them, but nobody reads those.
const LINES_PER_WINDOW = 60

// At most 200 lines a second then, from however many sources.
const MAX_SOURCES = 200

interface Unverified {
  readonly source: string | undefined
  readonly message: string
  readonly fields: object
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
      log.info({ source, count }, 'more requests without a verified user')
    },
    writeUnlisted: (count) => {
      log.info({ count }, 'more requests without a verified user, of more sources than are listed')
    },
  })

  return {
    request: (line) => {
      if (line.user !== undefined) log.info(line, 'request')
      else unverified.add({ source: sourceOf(line.address), message: 'request', fields: line })
    },
    unroutable: (reason) => {
      const fields = { reason, status: 400 }
      unverified.add({ source: undefined, message: 'request refused before routing', fields })
    },
    close: () => {
      unverified.close()
    },
  }
}
