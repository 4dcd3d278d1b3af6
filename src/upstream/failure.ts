// What can go wrong between us and the registry, and what the client is told about it.

import { errorCode } from '../errors.ts'

export type FailureKind = 'unreachable' | 'timed-out' | 'broke-off' | 'client-closed'

export interface UpstreamFailure {
  readonly kind: FailureKind
  /** For the log: a system error's code or a sentence. Never header or body bytes. */
  readonly cause: string
}

/** The registry closed before the length that it announced. */
export const ANSWER_CUT: UpstreamFailure = { kind: 'broke-off', cause: 'the answer ended before its length' }

/** The status a client gets if no head was sent yet. 499 is for the log: nobody is there to read it. */
export const FAILURE_STATUS = {
  unreachable: 502,
  'timed-out': 504,
  'broke-off': 502,
  'client-closed': 499,
} as const satisfies Record<FailureKind, number>

const UNREACHABLE_CODES: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EHOSTDOWN',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EAI_FAIL',
  'ETIMEDOUT',
  'EADDRNOTAVAIL',
])

/** What a transport error means. */
export function failureOf(error: unknown): UpstreamFailure {
  const code = errorCode(error)
  if (code === undefined) return { kind: 'broke-off', cause: 'the registry closed without an answer' }
  return { kind: UNREACHABLE_CODES.has(code) ? 'unreachable' : 'broke-off', cause: code }
}
