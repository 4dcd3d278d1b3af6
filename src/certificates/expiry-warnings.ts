// Tells in the log that a certificate ends, or has not begun, when nobody but a person can do something about it.

import type { Log } from '../observability/log.ts'
import type { LeafFacts } from '../pki/certificate.ts'

const DAY_MS = 86_400_000
const WARNED_AT_DAYS = [30, 7, 1]
const EARLY_HINT =
  'set the clock of this machine; if it is right, the certificate was issued by one that was ahead: renew it'
const OWN_HINT = 'it is not renewed here: put a renewed certificate and its key in the place of the files'

/** What has an end. */
export type Ending = Pick<LeafFacts, 'notAfter' | 'fingerprint'> & Partial<Pick<LeafFacts, 'notBefore'>>

export interface ExpiryWarnings {
  /** To be called every now and then, and when another certificate came into force. */
  look(certificate: Ending): void
}

export interface ExpiryWarningsOptions {
  readonly file: string
  readonly clock: () => Date
  readonly log: Log
  /** What a person can do; without it, what helps with files that are not ours. */
  readonly hint?: string
  /** What it is, for the line. */
  readonly subject?: string
  /** How many days before the end. */
  readonly atDays?: readonly number[]
}

/**
 * Warns before the end (30 days, 7 days and 1 day if nothing else is given) and at the end, and of a certificate whose
 * time is still to come; of each once for every certificate.
 */
export function createExpiryWarnings({
  file,
  clock,
  log,
  hint = OWN_HINT,
  subject = 'the certificate',
  atDays = WARNED_AT_DAYS,
}: ExpiryWarningsOptions): ExpiryWarnings {
  const limits = [0, ...atDays].toSorted((one, other) => one - other)
  let early: string | undefined
  let told: { readonly fingerprint: string; readonly days: number } | undefined

  return {
    look({ notBefore, notAfter, fingerprint }) {
      const now = clock()
      // Our clock was set back, or the one it was issued by was ahead.
      if (notBefore !== undefined && notBefore > now && early !== fingerprint) {
        early = fingerprint
        log.error({ file, notBefore, hint: EARLY_HINT }, `${subject} is not valid yet: clients refuse it`)
      }
      const daysLeft = (notAfter.getTime() - now.getTime()) / DAY_MS
      const days = limits.find((limit) => daysLeft <= limit)
      if (days === undefined) return
      if (told?.fingerprint === fingerprint && told.days <= days) return
      told = { fingerprint, days }
      const facts = { file, notAfter, hint }
      if (days === 0) log.error(facts, `${subject} has expired: clients refuse it`)
      else log.warn({ ...facts, daysLeft: Math.floor(daysLeft) }, `${subject} ends soon`)
    },
  }
}
