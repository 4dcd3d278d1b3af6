// Says which answers of the registry must not reach a client.

import type { IncomingMessage } from 'node:http'
import type { UpstreamFailure } from './failure.ts'
import { demandsLogin, LOGIN_DEMANDED } from './login-demand.ts'

/** Why the answer must not be passed on; undefined when it may. */
export function unusableAnswer({
  statusCode,
}: Pick<IncomingMessage, 'statusCode'>): UpstreamFailure | undefined {
  // Threat: a challenge names any host as its realm, and a client that follows it sends its password there.
  if (demandsLogin(statusCode)) return { kind: 'demands-login', cause: LOGIN_DEMANDED.reason }
  return undefined
}
