// Checks whether the registry answers.

import { connectFault } from '../failure.ts'
import { demandsLogin, LOGIN_DEMANDED } from '../login-demand.ts'
import type { RegistryAddress } from '../connect/registry-address.ts'
import { sendSmallRequest } from './small-request.ts'

export type ProbeOutcome =
  | { readonly kind: 'answers' }
  | { readonly kind: 'unexpected'; readonly reason: string; readonly hint?: string }
  | { readonly kind: 'unreachable'; readonly reason: string; readonly hint?: string }

const PROBE_TIMEOUT_MS = 2_000

/** Sends `GET /v2/` (OCI distribution specification, end-1) on a new connection. */
export async function probeRegistry(
  to: RegistryAddress,
  timeoutMs = PROBE_TIMEOUT_MS,
): Promise<ProbeOutcome> {
  const answer = await sendSmallRequest({ to, path: '/v2/', timeoutMs, maxBodyLength: 0 })
  switch (answer.kind) {
    case 'answer':
      return outcomeOf(answer.status)
    case 'failed':
      return { kind: 'unreachable', ...connectFault(answer.code) }
    case 'timeout':
      return { kind: 'unreachable', reason: `no answer within ${timeoutMs / 1000} s` }
  }
}

function outcomeOf(status: number): ProbeOutcome {
  if (status === 200) return { kind: 'answers' }
  if (demandsLogin(status)) return { kind: 'unexpected', ...LOGIN_DEMANDED }
  return { kind: 'unexpected', reason: `GET /v2/ answers ${status} instead of 200; is this a registry?` }
}
