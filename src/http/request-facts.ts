// Describes a request while it is answered.

import type { Question, Subject } from '../access/access-rules.ts'
import type { MachinePassword } from '../users/user-table.ts'

export interface RequestFacts {
  readonly id: string
  readonly address: string
  /** `performance.now()` when the pipeline began with it. */
  readonly startedAt: number
  /** Threat: must stay undefined until the user is verified. */
  subject: Subject | undefined
  isOldPassword: boolean
  /** Restricts what this request may do. */
  machinePassword: MachinePassword | undefined
  /** The client sent a bearer token. */
  hasToken: boolean
  /** True if a valid certificate has no usable name. */
  clientCertificate: string | true | undefined
  certificateProblem: string | undefined
  /** What is forwarded. Threat: must stay undefined until the request is authorized. */
  target: string | undefined
  /** The right that a refused request lacks. */
  missing: Question | undefined
  /** Only the log gets it. */
  reason: string | undefined
}

export function usernameOf({ subject }: Pick<RequestFacts, 'subject'>): string | undefined {
  return subject?.kind === 'user' ? subject.username : undefined
}

export interface Transfer {
  readonly id: string
  /** Undefined for anonymous. */
  readonly user: string | undefined
  readonly source: string
  readonly method: string
  readonly kind: TransferKind
  readonly since: number
}

export type TransferKind = 'blob' | 'other'
