// What can go wrong between us and the registry, and what the client is told about it.

import { errorCode } from '../errors/errors.ts'

/** `client-closed`: nobody is there to be told; the log has it as 499. */
export type FailureKind =
  'unreachable' | 'exhausted' | 'timed-out' | 'broke-off' | 'demands-login' | 'client-closed'

export interface UpstreamFailure {
  readonly kind: FailureKind
  /** For the log: a system error's code or a sentence. Never header or body bytes. */
  readonly cause: string
}

/** The registry closed before the length that it announced. */
export const ANSWER_CUT: UpstreamFailure = { kind: 'broke-off', cause: 'the answer ended before its length' }

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

// Nothing is wrong with the registry: this process, or this machine, has no file descriptor left.
const EXHAUSTED_CODES: ReadonlySet<string> = new Set(['EMFILE', 'ENFILE'])

/** What a transport error means. */
export function failureOf(error: unknown): UpstreamFailure {
  const code = errorCode(error)
  if (code === undefined) return { kind: 'broke-off', cause: 'the registry closed without an answer' }
  if (EXHAUSTED_CODES.has(code)) return { kind: 'exhausted', cause: code }
  return { kind: UNREACHABLE_CODES.has(code) ? 'unreachable' : 'broke-off', cause: code }
}
