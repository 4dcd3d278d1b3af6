// Detects answers of the registry that must not reach a client.

import type { IncomingMessage } from 'node:http'
import type { UpstreamFailure } from './failure.ts'
import { demandsLogin, LOGIN_DEMANDED } from './login-demand.ts'

export function unusableAnswer({
  statusCode,
  headers,
}: Pick<IncomingMessage, 'statusCode' | 'headers'>): UpstreamFailure | undefined {
  // Threat: a challenge may name any host as its realm, and clients send their password to that host.
  if (demandsLogin(statusCode)) return { kind: 'demands-login', cause: LOGIN_DEMANDED.reason }
  // Node decodes only `chunked`, so a body in another coding would reach the client undecoded.
  const coding = headers['transfer-encoding']?.toLowerCase() ?? 'chunked'
  if (coding !== 'chunked') {
    return { kind: 'broke-off', cause: 'the answer has a transfer coding other than chunked' }
  }
  return undefined
}
