// Copies some lines of the log to the audit stream.

import type { AuditStream } from './audit-stream.ts'
import { causeOf, LOGGED_CHANGES } from './logged-changes.ts'
import type { LogListener } from './watched-log.ts'

export function copyToAudit(audit: Pick<AuditStream, 'record'>): LogListener {
  return (fields) => {
    const change = LOGGED_CHANGES[fields.event]
    if (change === undefined) return
    const { file, user, machinePassword, fingerprint, notAfter, until, by } = fields
    const facts = { file, user, machinePassword, fingerprint, notAfter, until, by }
    audit.record({ ...change, ...facts, reason: causeOf(fields) })
  }
}
