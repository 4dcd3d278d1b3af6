// Sends requests to the admin address of the sidecar on this machine.

import { CommandError } from '../errors/errors.ts'
import type { Config } from '../settings/config.ts'
import { sendSmallRequest, type SmallAnswer } from '../upstream/probe/small-request.ts'

export interface AdminAddress {
  readonly hostname: string
  readonly port: number
}

export interface AdminRequest {
  readonly path: string
  readonly headers?: Readonly<Record<string, string>>
}

const TIMEOUT_MS = 5_000
const MAX_BODY_LENGTH = 4 * 1024 * 1024

export function adminAddressOf({ adminListen }: Pick<Config, 'adminListen'>, command: string): AdminAddress {
  if (adminListen === 'off')
    throw new CommandError(`SIDECAR_ADMIN_LISTEN is off; set it, because ${command} needs the admin address`)
  return { hostname: reachable(adminListen.host), port: adminListen.port }
}

/** Rejects with a CommandError if there is no whole answer. */
export async function askAdminAddress(
  to: AdminAddress,
  request: AdminRequest,
): Promise<{ readonly status: number; readonly body: string }> {
  const limits = { timeoutMs: TIMEOUT_MS, maxBodyLength: MAX_BODY_LENGTH }
  const answer = await sendSmallRequest({ to, ...request, ...limits })
  if (answer.kind === 'answer' && answer.isWhole) return answer
  throw new CommandError(`no sidecar answers on ${to.hostname}:${to.port}: ${reasonOf(answer)}`)
}

// A listener on every address is reachable on the loopback address.
function reachable(host: string | undefined): string {
  if (host === undefined || host === '0.0.0.0') return '127.0.0.1'
  return host === '::' ? '::1' : host
}

function reasonOf(answer: SmallAnswer): string {
  switch (answer.kind) {
    case 'failed':
      return answer.code
    case 'timeout':
      return 'no answer in time'
    case 'answer':
      return 'the answer is incomplete'
  }
}
