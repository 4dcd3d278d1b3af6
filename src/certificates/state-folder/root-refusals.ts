// Why no leaf can be issued under a root, or no root at all, with the fix.

import { InvalidFileError } from '../../errors/errors.ts'
import { START_OVER, type Root } from '../../pki/certificate.ts'

/** For a root that another program issued, and that our leaves do not fit. */
export function foreignRoot({ file }: Root, cause?: unknown): InvalidFileError {
  const reason =
    'was not issued by this program, and clients would refuse what is issued under it: put the earlier root.crt and ' +
    `root.key back; to serve a certificate of that one, set SIDECAR_TLS_CERT and SIDECAR_TLS_KEY; or ${START_OVER}`
  return new InvalidFileError(file, reason, { cause })
}

// The clock first: with a wrong one a person would throw away a root that is good.
export function expiredRoot({ file, notAfter }: Root, now: Date): InvalidFileError {
  const reason = `expired on ${notAfter.toISOString()}: set this machine's clock if it is not ${now.toISOString()}; otherwise ${START_OVER}`
  return new InvalidFileError(file, reason)
}

// Small machines have no clock of their own, and begin in 1970 until the network tells them the time. Clients would be
// told to trust a root that ended long ago.
const FIRST_POSSIBLE_YEAR = 2025

/** Throws `InvalidFileError` when a root issued now would be of no use. */
export function refuseEarlyClock(rootFile: string, now: Date): void {
  if (now.getUTCFullYear() >= FIRST_POSSIBLE_YEAR) return
  throw new InvalidFileError(
    rootFile,
    `is not issued while this machine's clock says ${now.toISOString()}: set the clock first, and have this start after that`,
  )
}
