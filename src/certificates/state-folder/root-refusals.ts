// Explains why a root or its leaves cannot be issued.

import { InvalidFileError } from '../../errors/errors.ts'
import { START_OVER, type Root } from '../../pki/certificate.ts'

/** For a root that another program issued. Leaves that the sidecar issues under it are not valid. */
export function foreignRoot({ file }: Root, cause?: unknown): InvalidFileError {
  const reason =
    'was not issued by this program, and clients would refuse leaves that it signs: restore the earlier root.crt and ' +
    'root.key; to serve a certificate of this root, set SIDECAR_TLS_CERT and SIDECAR_TLS_KEY; or ' +
    START_OVER
  return new InvalidFileError(file, reason, { cause })
}

export function missingSharedRoot(file: string): InvalidFileError {
  return new InvalidFileError(
    file,
    'is missing: put root.crt and root.key there; a sidecar with an empty SIDECAR_STATE_DIR creates them',
  )
}

export function sharedRootRenewal(file: string): InvalidFileError {
  return new InvalidFileError(
    file,
    'is shared by replicas (SIDECAR_ROOT_DIR) and is not renewed here: run `registry-sidecar cert renew --root` with the ' +
      'SIDECAR_STATE_DIR where the root is kept; then give the replicas the new root.crt, root.key and cross.crt',
  )
}

// The message names the clock first, because a person whose clock is wrong might delete a good root.
export function expiredRoot({ file, notAfter }: Root, now: Date): InvalidFileError {
  const reason =
    `expired on ${notAfter.toISOString()}: this machine's clock says ${now.toISOString()}; if the clock is wrong, set the ` +
    `clock; otherwise ${START_OVER}`
  return new InvalidFileError(file, reason)
}

// A machine without a clock battery starts in 1970, and a root with that date would already be expired.
const FIRST_POSSIBLE_YEAR = 2025

export function refuseEarlyClock(rootFile: string, now: Date): void {
  if (now.getUTCFullYear() >= FIRST_POSSIBLE_YEAR) return
  throw new InvalidFileError(
    rootFile,
    `is not issued while the clock of this machine says ${now.toISOString()}: set the clock, then start again`,
  )
}
