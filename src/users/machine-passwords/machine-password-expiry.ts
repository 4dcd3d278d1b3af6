// Logs which machine passwords end soon, and which have ended.

import type { Log } from '../../observability/log.ts'
import type { MachinePassword, MachinePasswords } from '../user-table.ts'

export interface ExpiryLog {
  /** Call it regularly, and when the users file has changed. */
  look(): void
  close(): void
}

export interface ExpiryLogOptions {
  readonly file: string
  readonly current: () => MachinePasswords
  readonly log: Log
  /** Milliseconds since 1970. */
  readonly now?: () => number
}

const DAY_MS = 86_400_000
const WARN_BEFORE_MS = 7 * DAY_MS
// A sidecar that starts later does not log again what ended long ago.
const ENDED_RECENTLY_MS = 7 * DAY_MS
const LOOK_EVERY_MS = 60_000

const MAX_LISTED = 20

const HINT = 'create another with `registry-sidecar user token add NAME`, and replace it where it is used'

type Logged = { readonly kind: 'soon'; readonly at: number } | { readonly kind: 'ended' }

/** Looks now and once a minute. */
export function startExpiryLog({ file, current, log, now = Date.now }: ExpiryLogOptions): ExpiryLog {
  let logged: ReadonlyMap<string, Logged> = new Map()

  function look(): void {
    const time = now()
    const next = new Map<string, Logged>()
    const due: MachinePassword[] = []
    for (const password of current().values()) {
      const before = logged.get(password.id)
      const after = nextOf(before, password, time)
      if (after !== undefined) next.set(password.id, after)
      if (after !== undefined && after !== before) due.push(password)
    }
    logged = next
    for (const password of due.slice(0, MAX_LISTED)) report(password, time)
    const more = due.length - MAX_LISTED
    if (more > 0) log.warn({ event: 'more-machine-passwords-end', file, more, hint: HINT }, 'more machine passwords end soon or have ended')
  }

  function report({ id, username, label, validUntil, line }: MachinePassword, time: number): void {
    const facts = { file, line, id, user: username, label: label === '' ? undefined : label }
    const until = { validUntil: new Date(validUntil), hint: HINT }
    if (time >= validUntil) log.warn({ event: 'machine-password-ended', ...facts, ...until }, 'a machine password has ended')
    else log.warn({ event: 'machine-password-ends-soon', ...facts, ...until }, 'a machine password ends soon')
  }

  const timer = setInterval(look, LOOK_EVERY_MS).unref()
  look()
  return {
    look,
    close: () => {
      clearInterval(timer)
    },
  }
}

function nextOf(
  before: Logged | undefined,
  { validUntil }: MachinePassword,
  time: number,
): Logged | undefined {
  if (time >= validUntil + ENDED_RECENTLY_MS) return undefined
  if (time >= validUntil) return before?.kind === 'ended' ? before : { kind: 'ended' }
  if (time < validUntil - WARN_BEFORE_MS) return undefined
  const isLogged = before?.kind === 'soon' && time >= before.at && time < before.at + DAY_MS
  return isLogged ? before : { kind: 'soon', at: time }
}
