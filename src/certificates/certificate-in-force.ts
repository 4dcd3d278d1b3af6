// Describes the certificate in force, issued here or by someone else.

import type { ValueState } from '../files/value-in-force.ts'
import type { CertificateBundle, Root } from '../pki/certificate.ts'

export interface CertificateInForce {
  /** `own`: the operator's, from files that we only read. */
  readonly origin: 'issued' | 'own'
  readonly current: CertificateBundle
  readonly state: ValueState
  readonly counts: RenewalCounts
  /** The root that clients should trust. Undefined when someone else issued the certificate without its root. */
  readonly root: Root | undefined
  /** Calls `listener` after another certificate came into force. */
  onChange(listener: (next: CertificateBundle) => void): void
  /** Reads the watched files again. Rejects with InvalidFileError, and keeps what is in force, if they are unusable. */
  reload(): Promise<void>
  /** Waits for a running reload. Afterwards nothing is watched, read or renewed. */
  close(): Promise<void>
}

/** Since the start. */
export interface RenewalCounts {
  /** How often another certificate came into force. */
  readonly renewed: number
  /** How often that failed, and the certificate in force stayed. */
  readonly failed: number
}
