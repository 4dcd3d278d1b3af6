// One log line for each refused login, for people and for tools such as fail2ban (docker/fail2ban), in bounded number.
//
// The address stands first, before anything that a client has a say in, and what it sent is never repeated: no client
// can make a line that accuses another.

import { sourceOf } from '../client-address.ts'
import type { RefusalReason } from '../../auth/verifier.ts'
import type { Log } from '../../observability/log.ts'
import { createBoundedLog } from '../../observability/bounded-log.ts'

export interface RefusedLogin {
  readonly address: string
  readonly reason: string
  /** Only when the users file has the name: one it does not have may be a password in the wrong field. */
  readonly username: string | undefined
}

export interface LoginAudit {
  /** Writes a line, or counts the login for a line that comes at the end of the window. */
  refused(login: RefusedLogin): void
  /** Writes what has only been counted. */
  close(): void
}

export const THROTTLED_REASON = 'too many failed logins'
export const DROPPED_REASON = 'too many logins waiting after failed ones'
export const BUSY_REASON = 'logins queue full'

// Refusing these costs us next to nothing, so a flood brings thousands in a second. One line says it all.
const TOLD_ONCE: ReadonlySet<string> = new Set([THROTTLED_REASON, DROPPED_REASON, BUSY_REASON])

const WINDOW_MS = 60_000

// More than the throttle's default lets one source fail. Only equal logins that share one check, a throttle that is
// off, or malformed credentials come to this many.
const LINES_PER_WINDOW = 60

// Distinct sources, reasons and names in one window. A botnet has more sources than anybody reads lines of. Guesses cost
// a bcrypt each, so nobody can bring many; what costs nothing must not crowd them out.
const MAX_LISTED = 1_000
const MAX_GUESSES_LISTED = 20_000
const GUESSES: ReadonlySet<string> = new Set<RefusalReason>([
  'wrong password',
  'unknown user',
  'entry changed',
])

export function createLoginAudit(log: Log): LoginAudit {
  const lines = createBoundedLog<RefusedLogin>({
    windowMs: WINDOW_MS,
    // By source, as everything about failures is: whoever has a /64 does not get lines for each address of it.
    keyOf: ({ address, reason, username }) => JSON.stringify([sourceOf(address), reason, username]),
    linesOf: ({ reason }) => (TOLD_ONCE.has(reason) ? 1 : LINES_PER_WINDOW),
    maxKeysOf: ({ reason }) => (GUESSES.has(reason) ? MAX_GUESSES_LISTED : MAX_LISTED),
    write: (login) => {
      writeLine(log, login, {})
    },
    writeCounted: (login, count) => {
      writeLine(log, login, { count })
    },
    writeUnlisted: (count) => {
      log.warn({ count }, 'more logins refused than are listed')
    },
  })
  return {
    refused: (login) => void lines.add(login),
    close: () => {
      lines.close()
    },
  }
}

// docker/fail2ban relies on the order of the fields.
function writeLine(
  log: Log,
  { address, reason, username }: RefusedLogin,
  more: { readonly count?: number },
): void {
  log.warn(
    { address, reason, ...(username === undefined ? {} : { user: username }), ...more },
    'login refused',
  )
}
