// Describes the live status that the pages, `top` and JSON show.

export interface StatusSnapshot {
  /** ISO 8601, like all times here. */
  readonly at: string
  readonly startedAt: string
  readonly version: string
  readonly ready: boolean
  readonly parts: Readonly<Record<string, PartStatus>>
  readonly certificates: readonly CertificateStatus[]
  readonly load: LoadStatus
  /** The oldest running transfers. `load.transfers` is the number of all. */
  readonly transfers: readonly RunningTransfer[]
  /** Newest first, like all lists below. */
  readonly operations: readonly FinishedOperation[]
  readonly refusals: readonly Refusal[]
  readonly changes: readonly StatusChange[]
  readonly series: MinuteSeries
  /** Undefined in a snapshot without names. */
  readonly users: readonly UserStatus[] | undefined
}

export interface PartStatus {
  readonly ready: boolean
  readonly state: string
  readonly reason?: string | undefined
  /** How to repair it. */
  readonly hint?: string | undefined
}

export interface CertificateStatus {
  readonly kind: 'leaf' | 'root' | 'client-ca'
  readonly notAfter: string
  readonly daysLeft: number
}

export interface LoadStatus {
  readonly users: number
  readonly connections: number
  readonly requestsInFlight: number
  readonly transfers: number
  readonly loginsWaiting: number
  readonly receivedBytesPerSecond: number
  readonly sentBytesPerSecond: number
}

/** Threat: the admin address needs no login, so its snapshots have no field `names`. */
export interface Names {
  /** Undefined for an anonymous client, and before a login. */
  readonly user?: string | undefined
  readonly address?: string | undefined
  readonly repository?: string | undefined
  /** A tag or a digest. */
  readonly reference?: string | undefined
  /** The program of the client, as its User-Agent says. */
  readonly client?: string | undefined
  /** The name of a file, or another detail that may contain a name. */
  readonly detail?: string | undefined
}

export interface RunningTransfer {
  readonly id: string
  readonly operation: 'push' | 'pull'
  readonly bytes: number
  /** Undefined for a chunked body. */
  readonly length: number | undefined
  readonly bytesPerSecond: number
  readonly seconds: number
  readonly names?: Names
}

export interface FinishedOperation {
  readonly at: string
  readonly operation: 'push' | 'pull'
  readonly outcome: string
  /** Includes the blobs before a push, or after a pull, of the same user, address and repository. */
  readonly bytes: number
  readonly seconds: number
  readonly names?: Names
}

export interface Refusal {
  readonly at: string
  readonly kind: 'login' | 'denied' | 'limit'
  /** Undefined for a refused login and a limit. */
  readonly status: number | undefined
  readonly reason: string
  /** Undefined means 1. */
  readonly count?: number | undefined
  readonly names?: Names
}

export interface StatusChange {
  readonly at: string
  readonly event: string
  readonly outcome: string
  readonly names?: Names
}

/** One number per minute, the oldest first; at most 24 hours. */
export interface MinuteSeries {
  /** The end of the last complete minute. */
  readonly until: string
  readonly receivedBytes: readonly number[]
  readonly sentBytes: readonly number[]
  readonly requests: readonly number[]
  readonly failedRequests: readonly number[]
  readonly pushes: readonly number[]
  readonly pulls: readonly number[]
}

export interface UserStatus {
  readonly user: string
  /** The bcrypt cost, 2^cost rounds. */
  readonly cost: number
  readonly machinePasswords: number
  /** Undefined if no access rules exist, so that everything is allowed. */
  readonly rights: readonly string[] | undefined
}
