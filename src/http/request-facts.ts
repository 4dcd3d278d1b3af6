// Describes a request while it is answered.

import type { IncomingMessage } from 'node:http'
import type { Question, Subject } from '../access/access-rules.ts'
import type { RepositoryChange } from '../access/authorization.ts'
import type { MachinePassword } from '../users/user-table.ts'
import type { Client } from './client-address.ts'

/** The address may differ from that of the connection, if a proxy forwards the request. */
export interface RequestFacts extends Client {
  readonly id: string
  /** `performance.now()` when the pipeline began with this request. */
  readonly startedAt: number
  /** Threat: must stay undefined until the user is verified. */
  subject: Subject | undefined
  isOldPassword: boolean
  /** Restricts what this request may do. */
  machinePassword: MachinePassword | undefined
  /** The client sent a bearer token. */
  hasToken: boolean
  /** Milliseconds since 1970. Undefined for a login without a token. */
  tokenValidUntil: number | undefined
  /** The name in a valid certificate. True if it has no usable name. */
  clientCertificate: string | true | undefined
  /** The certificate named the user, and no password was asked for. */
  isCertificateLogin: boolean
  certificateProblem: string | undefined
  /** The target that is forwarded. Threat: must stay undefined until the request is authorized. */
  target: string | undefined
  change: RepositoryChange | undefined
  /** The request waited during a freeze. */
  hasWaited: boolean
  /** What the registry says it stored, if this is a push. */
  digest: string | undefined
  /** The Content-Length of the registry's answer to a GET. */
  answerLength: number | undefined
  /** The right that a refused request lacks. */
  missing: Question | undefined
  /** Why the request was refused or failed, only for the log. */
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
  readonly kind: TransferKind
  /** `performance.now()`. */
  readonly since: number
  readonly incoming: IncomingMessage
  readonly facts: RequestFacts
  /** Inside TLS, so far, with heads. */
  readonly moved: () => Bytes
}

export type TransferKind = 'blob' | 'other'

export interface Bytes {
  readonly received: number
  readonly sent: number
}
