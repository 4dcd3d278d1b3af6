// Warns in the log before a certificate expires.

import type { Log } from '../observability/log.ts'
import type { LeafFacts } from '../pki/certificate.ts'

const DAY_MS = 86_400_000
const WARNED_AT_DAYS = [30, 7, 1]
const EARLY_HINT =
  'correct the clock of this machine; if it is right, the clock of the issuer was ahead: renew the certificate'
const OPERATOR_HINT =
  'the sidecar does not renew it: replace the files with a renewed certificate and its key'

export type Expiring = Pick<LeafFacts, 'notAfter' | 'fingerprint'> & Partial<Pick<LeafFacts, 'notBefore'>>

export interface ExpiryWarnings {
  /** Call it regularly, and whenever another certificate comes into force. */
  look(certificate: Expiring): void
}

export interface ExpiryWarningsOptions {
  readonly file: string
  readonly clock: () => Date
  readonly log: Log
  readonly hint?: string
  readonly subject?: string
  readonly atDays?: readonly number[]
}

/** Logs each warning once per certificate. */
export function createExpiryWarnings({
  file,
  clock,
  log,
  hint = OPERATOR_HINT,
  subject = 'the certificate',
  atDays = WARNED_AT_DAYS,
}: ExpiryWarningsOptions): ExpiryWarnings {
  const limits = [0, ...atDays].toSorted((one, other) => one - other)
  let loggedEarly: string | undefined
  let warned: { readonly fingerprint: string; readonly days: number } | undefined

  return {
    look({ notBefore, notAfter, fingerprint }) {
      const now = clock()
      // This clock was set back, or the clock of the issuer was ahead.
      if (notBefore !== undefined && notBefore > now && loggedEarly !== fingerprint) {
        loggedEarly = fingerprint
        log.error(
          { event: 'certificate-not-yet-valid', file, notBefore, hint: EARLY_HINT },
          `${subject} is not valid yet: clients refuse it`,
        )
      }
      const daysLeft = (notAfter.getTime() - now.getTime()) / DAY_MS
      const days = limits.find((limit) => daysLeft <= limit)
      if (days === undefined) return
      if (warned?.fingerprint === fingerprint && warned.days <= days) return
      warned = { fingerprint, days }
      const facts = { file, notAfter, hint }
      if (days === 0)
        log.error({ event: 'certificate-expired', ...facts }, `${subject} has expired: clients refuse it`)
      else
        log.warn(
          { event: 'certificate-expires-soon', ...facts, daysLeft: Math.floor(daysLeft) },
          `${subject} expires soon`,
        )
    },
  }
}
