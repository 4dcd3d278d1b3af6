// Logs refused logins, in bounded number, for people and fail2ban.
// Threat: a client forges a line that accuses another address. So the address comes first, without text of the client.

import { sourceOf } from '../../client-address.ts'
import type { RefusalReason } from '../../../auth/verdict.ts'
import type { Log } from '../../../observability/log.ts'
import { createBoundedLog } from '../../../observability/bounded-log.ts'

export interface RefusedLogin {
  readonly address: string
  readonly reason: string
  /** Only a name in the users file; an unknown name may be a password in the wrong field. */
  readonly username: string | undefined
}

export interface LoginAudit {
  refused(login: RefusedLogin): void
  close(): void
}

export const THROTTLED_REASON = 'too many failed logins'
export const DROPPED_REASON = 'too many logins waiting after failed ones'
export const BUSY_REASON = 'logins queue full'

// A flood causes thousands of these cheap refusals a second.
const LOGGED_ONCE: ReadonlySet<string> = new Set([THROTTLED_REASON, DROPPED_REASON, BUSY_REASON])

const WINDOW_MS = 60_000

const LINES_PER_WINDOW = 60

// Guesses have their own limit, so that refusals without a bcrypt check cannot push them out of the log.
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
    // Threat: a client gets more lines by using many addresses of its IPv6 /64.
    keyOf: ({ address, reason, username }) => JSON.stringify([sourceOf(address), reason, username]),
    linesOf: ({ reason }) => (LOGGED_ONCE.has(reason) ? 1 : LINES_PER_WINDOW),
    maxKeysOf: ({ reason }) => (GUESSES.has(reason) ? MAX_GUESSES_LISTED : MAX_LISTED),
    write: (login) => {
      writeLine(log, login, {})
    },
    writeCounted: (login, count) => {
      writeLine(log, login, { count })
    },
    writeUnlisted: (count) => {
      log.warn({ event: 'more-logins-refused', count }, 'more logins refused than are listed')
    },
  })
  return {
    refused: (login) => void lines.add(login),
    close: () => {
      lines.close()
    },
  }
}

// docker/fail2ban relies on the order of the fields, so the event comes last.
function writeLine(
  log: Log,
  { address, reason, username }: RefusedLogin,
  more: { readonly count?: number },
): void {
  log.warn(
    {
      address,
      reason,
      ...(username === undefined ? {} : { user: username }),
      ...more,
      event: 'login-refused',
    },
    'login refused',
  )
}
