// Defines the certificate in force, issued here or by someone else.

import type { InForce, Loads, ValueState } from '../files/value-in-force.ts'
import type { CertificateBundle, Root } from '../pki/certificate.ts'

export interface CertificateInForce {
  /** `issued`: by the sidecar. `own`: the operator's files, which the sidecar only reads. */
  readonly origin: 'issued' | 'own'
  readonly current: CertificateBundle
  readonly state: ValueState
  readonly counts: RenewalCounts
  readonly loads: Loads
  /** Undefined if the operator's chain does not contain its root. */
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

export interface CertificateSource<T> extends Pick<CertificateInForce, 'origin' | 'reload' | 'close'> {
  readonly value: InForce<T>
  readonly rootOf: (value: T) => Root | undefined
}

export function createCertificateInForce<T extends { readonly bundle: CertificateBundle }>({
  origin,
  value,
  rootOf,
  reload,
  close,
}: CertificateSource<T>): CertificateInForce {
  return {
    origin,
    get current() {
      return value.current.bundle
    },
    get state() {
      return value.state
    },
    get counts() {
      return { renewed: value.loads.changed, failed: value.loads.failed }
    },
    loads: value.loads,
    get root() {
      return rootOf(value.current)
    },
    onChange: (listener) => {
      value.onChange(({ bundle }) => {
        listener(bundle)
      })
    },
    reload,
    close,
  }
}
