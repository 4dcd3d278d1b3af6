// Sends `GET /v2/` without credentials on an open TLS connection.

import type { TLSSocket } from 'node:tls'
import { sendSmallRequest, type SmallAnswer } from '../../upstream/probe/small-request.ts'

const MAX_BODY_LENGTH = 4096

/** The first request of every client (OCI distribution specification, end-1). Closes the connection. Never rejects. */
export async function askRegistry(
  connection: TLSSocket,
  host: string,
  timeoutMs: number,
): Promise<SmallAnswer> {
  const answer = await sendSmallRequest({
    to: { connection },
    path: '/v2/',
    headers: { host, accept: '*/*', connection: 'close' },
    timeoutMs,
    maxBodyLength: MAX_BODY_LENGTH,
  })
  connection.destroy()
  return answer
}
