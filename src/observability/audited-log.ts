// Copies some lines of the log to the audit stream.

import { errorMessage } from '../errors/errors.ts'
import type { AuditLine, AuditStream } from './audit-stream.ts'
import type { EventName } from './log-events.ts'
import type { Log } from './log.ts'

type Copy = Pick<AuditLine, 'event' | 'outcome'>

interface CopiedFields {
  readonly event: EventName
  readonly [field: string]: unknown
}

const LOADED: Copy = { event: 'file-loaded', outcome: 'done' }
const NOT_LOADED: Copy = { event: 'file-loaded', outcome: 'failed' }

const COPIED: Readonly<Partial<Record<EventName, Copy>>> = {
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

export function auditedLog(log: Log, audit: Pick<AuditStream, 'record'>): Log {
  const copy = (fields: CopiedFields): void => {
    const line = COPIED[fields.event]
    if (line !== undefined) audit.record({ ...line, ...factsOf(fields) })
  }
  return {
    debug: (fields, sentence) => {
      log.debug(fields, sentence)
      copy(fields)
    },
    info: (fields, sentence) => {
      log.info(fields, sentence)
      copy(fields)
    },
    warn: (fields, sentence) => {
      log.warn(fields, sentence)
      copy(fields)
    },
    error: (fields, sentence) => {
      log.error(fields, sentence)
      copy(fields)
    },
    get isDebug() {
      return log.isDebug
    },
    toggleDebug: () => {
      log.toggleDebug()
    },
  }
}

function factsOf(fields: CopiedFields) {
  const { file, user, machinePassword, fingerprint, notAfter, until, by, reason, err } = fields
  const cause = reason ?? (err === undefined ? undefined : errorMessage(err))
  return { file, user, machinePassword, fingerprint, notAfter, until, by, reason: cause }
}
