// Says which answers of the registry must not reach a client.

import type { IncomingMessage } from 'node:http'
import type { UpstreamFailure } from './failure.ts'
import { demandsLogin, LOGIN_DEMANDED } from './login-demand.ts'

/** Why the answer must not be passed on; undefined when it may. */
export function unusableAnswer({
  statusCode,
  headers,
}: Pick<IncomingMessage, 'statusCode' | 'headers'>): UpstreamFailure | undefined {
  // Threat: a challenge names any host as its realm, and a client that follows it sends its password there.
  if (demandsLogin(statusCode)) return { kind: 'demands-login', cause: LOGIN_DEMANDED.reason }
  // Node undoes `chunked` alone. A body in any other coding would reach the client as if it had none.
  const coding = headers['transfer-encoding']?.toLowerCase() ?? 'chunked'
  if (coding !== 'chunked') {
    return { kind: 'broke-off', cause: 'the answer has a transfer coding other than chunked' }
  }
  return undefined
}
