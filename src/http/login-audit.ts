// One log line for each refused login, for people and for tools such as fail2ban (docker/fail2ban), in bounded number.
//
// The address stands first, before anything that a client has a say in, and what it sent is never repeated: no client
// can make a line that accuses another.

import { sourceOf } from '../auth/source.ts'
import type { RefusalReason } from '../auth/verifier.ts'
import type { Log } from '../log.ts'

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

interface Told {
  readonly login: RefusedLogin
  readonly lines: number
  readonly untold: number
}

export function createLoginAudit(log: Log): LoginAudit {
  const told = new Map<string, Told>()
  let unlisted = 0
  let timer: NodeJS.Timeout | undefined
  let isClosed = false

  function refused(login: RefusedLogin): void {
    // Logins that waited may be refused by the very end of the queue: they get their line, and no timer.
    if (!isClosed) timer ??= setTimeout(endWindow, WINDOW_MS)
    // By source, as everything about failures is: whoever has a /64 does not get lines for each address of it.
    const key = JSON.stringify([sourceOf(login.address), login.reason, login.username])
    const { lines, untold } = told.get(key) ?? { lines: 0, untold: 0 }
    if (lines === 0 && told.size >= (GUESSES.has(login.reason) ? MAX_GUESSES_LISTED : MAX_LISTED)) {
      unlisted += 1
      return
    }
    const isTold = lines < (TOLD_ONCE.has(login.reason) ? 1 : LINES_PER_WINDOW)
    told.set(key, { login, lines: lines + Number(isTold), untold: untold + Number(!isTold) })
    if (isTold) writeLine(log, login, {})
  }

  function endWindow(): void {
    clearTimeout(timer)
    timer = undefined
    for (const { login, untold } of told.values()) if (untold > 0) writeLine(log, login, { count: untold })
    told.clear()
    if (unlisted > 0) log.warn({ count: unlisted }, 'more logins refused than are listed')
    unlisted = 0
  }

  return {
    refused,
    close: () => {
      isClosed = true
      endWindow()
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
