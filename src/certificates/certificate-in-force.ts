// Describes the certificate in force, issued here or by someone else.

import type { ValueState } from '../files/value-in-force.ts'
import type { CertificateBundle, Root } from '../pki/certificate.ts'

export interface CertificateInForce {
  /** `own`: the operator's, from files that we only read. */
  readonly origin: 'issued' | 'own'
  readonly current: CertificateBundle
  readonly state: ValueState
  readonly counts: RenewalCounts
  /** Undefined if someone else issued the certificate without its root. */
  readonly root: Root | undefined
  onChange(listener: (next: CertificateBundle) => void): void
  /** Rejects with InvalidFileError if the files are unusable, and keeps the certificate in force. */
  reload(): Promise<void>
  /** Waits for a running reload. Afterwards nothing is read or renewed. */
  close(): Promise<void>
}

/** Since the start. */
export interface RenewalCounts {
  readonly renewed: number
  readonly failed: number
}
