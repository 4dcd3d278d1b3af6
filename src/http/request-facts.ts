// Describes a request while it is answered.

export interface RequestFacts {
  readonly id: string
  readonly address: string
  /** `performance.now()` when the pipeline began with it. */
  readonly startedAt: number
  /** Threat: must stay undefined until the user is verified. */
  username: string | undefined
  isOldPassword: boolean
  /** True if a valid certificate has no usable name. */
  clientCertificate: string | true | undefined
  certificateProblem: string | undefined
  /** Only the log gets it. */
  reason: string | undefined
}

export interface Transfer {
  readonly id: string
  readonly user: string
  readonly method: string
  readonly kind: TransferKind
  readonly since: number
}

export type TransferKind = 'blob' | 'other'
