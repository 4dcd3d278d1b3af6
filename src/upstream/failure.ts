// Classifies failures between the sidecar and the registry.

import { errorCode } from '../errors/errors.ts'

export const FAILURE_KINDS = [
  'unreachable',
  'exhausted',
  'timed-out',
  'broke-off',
  'demands-login',
  'client-closed',
] as const
export type FailureKind = (typeof FAILURE_KINDS)[number]

export interface UpstreamFailure {
  readonly kind: FailureKind
  /** The code of a system error, or a sentence. Threat: it must not contain bytes of headers or bodies. */
  readonly cause: string
}

export const ANSWER_CUT: UpstreamFailure = { kind: 'broke-off', cause: 'the answer ended too early' }

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
  // Errors of unix sockets. With EAGAIN, too many connections wait for the registry to accept them.
  'ENOENT',
  'ENOTDIR',
  'EACCES',
  'EAGAIN',
])

export interface ConnectFault {
  readonly reason: string
  readonly hint?: string
}

const EXPLAINED: Readonly<Record<string, ConnectFault>> = {
  ENOENT: {
    reason: 'ENOENT, the socket does not exist',
    hint: 'start the registry with this socket, and share the folder of the socket with the sidecar',
  },
  EACCES: {
    reason: 'EACCES, no permission to connect',
    hint: "let the sidecar's user write to the registry's socket and enter its folder",
  },
}

export function connectFault(code: string): ConnectFault {
  return EXPLAINED[code] ?? { reason: code }
}

const EXHAUSTED_CODES: ReadonlySet<string> = new Set(['EMFILE', 'ENFILE'])

export function failureOf(error: unknown): UpstreamFailure {
  const code = errorCode(error)
  if (code === undefined) return { kind: 'broke-off', cause: 'the registry closed without an answer' }
  if (EXHAUSTED_CODES.has(code)) return { kind: 'exhausted', cause: code }
  if (!UNREACHABLE_CODES.has(code)) return { kind: 'broke-off', cause: code }
  const { reason, hint } = connectFault(code)
  return { kind: 'unreachable', cause: hint === undefined ? reason : `${reason}; ${hint}` }
}
