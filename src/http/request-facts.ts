// Describes a request while it is answered.

/** One request as the access log reports it. */
export interface RequestFacts {
  readonly id: string
  readonly address: string
  /** `performance.now()` when the pipeline began with it. */
  readonly startedAt: number
  /** Set once the user is verified, never before. */
  username: string | undefined
  /** The password was the previous one, which `user passwd --keep-old` keeps valid. */
  isOldPassword: boolean
  /** The name in a valid client certificate; true if the certificate has no usable name. */
  clientCertificate: string | true | undefined
  /** Why an invalid client certificate was ignored because a password is enough. */
  certificateProblem: string | undefined
  /** Why the request was refused or failed; only the log gets it. */
  reason: string | undefined
}

/** A request of a verified user, from its admission to the end of its answer. */
export interface Transfer {
  /** The request's id. */
  readonly id: string
  readonly user: string
  readonly method: string
  readonly kind: TransferKind
  /** `performance.now()` at admission. */
  readonly since: number
}

/** `blob`: carries the bytes of a blob. `other`: everything else. */
export type TransferKind = 'blob' | 'other'
