// Lists the lines of the log that report a change.

import { errorMessage } from '../errors/errors.ts'
import type { AuditLine } from './audit-stream.ts'
import type { EventName } from './log-events.ts'
import type { LoggedFields } from './watched-log.ts'

export type LoggedChange = Pick<AuditLine, 'event' | 'outcome'>

const LOADED: LoggedChange = { event: 'file-loaded', outcome: 'done' }
const NOT_LOADED: LoggedChange = { event: 'file-loaded', outcome: 'failed' }

/** Maps an event of the log to an event of the audit stream. */
export const LOGGED_CHANGES: Readonly<Partial<Record<EventName, LoggedChange>>> = {
  'reload-requested': { event: 'reload-requested', outcome: 'done' },
  'users-loaded': LOADED,
  'access-rules-loaded': LOADED,
  'client-cas-loaded': LOADED,
  'certificate-loaded': LOADED,
  'file-usable-again': LOADED,
  'certificate-usable-again': LOADED,
  'file-not-loaded': NOT_LOADED,
  'change-not-applied': NOT_LOADED,
  'reload-failed': NOT_LOADED,
  'user-added': { event: 'user-added', outcome: 'done' },
  'user-removed': { event: 'user-removed', outcome: 'done' },
  'user-changed': { event: 'user-changed', outcome: 'done' },
  'machine-password-added': { event: 'machine-password-added', outcome: 'done' },
  'machine-password-removed': { event: 'machine-password-removed', outcome: 'done' },
  'leaf-renewed': { event: 'certificate-renewed', outcome: 'done' },
  'certificate-replaced': { event: 'certificate-renewed', outcome: 'done' },
  'leaf-not-renewed': { event: 'certificate-renewed', outcome: 'failed' },
  'certificate-not-replaced': { event: 'certificate-renewed', outcome: 'failed' },
  'root-renewed': { event: 'root-renewed', outcome: 'done' },
  frozen: { event: 'frozen', outcome: 'done' },
  thawed: { event: 'thawed', outcome: 'done' },
}

export function causeOf({ reason, err }: LoggedFields): unknown {
  return reason ?? (err === undefined ? undefined : errorMessage(err))
}
