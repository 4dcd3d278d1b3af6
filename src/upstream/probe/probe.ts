import { request } from 'node:http'
import { errorCode, errorMessage } from '../../errors/errors.ts'
import { demandsLogin, LOGIN_DEMANDED } from '../login-demand.ts'

export type ProbeOutcome =
  | { readonly kind: 'answers' }
  /** `hint` says what to do, where that is known. */
  | { readonly kind: 'unexpected'; readonly reason: string; readonly hint?: string }
  | { readonly kind: 'unreachable'; readonly reason: string }

// Health checks commonly give up after a few seconds themselves.
const PROBE_TIMEOUT_MS = 2_000

/** Asks the registry for `GET /v2/` (OCI distribution specification, end-1) on a connection of its own. */
export function probeRegistry(
  { hostname, port }: { hostname: string; port: number },
  timeoutMs = PROBE_TIMEOUT_MS,
): Promise<ProbeOutcome> {
  return new Promise((resolve) => {
    const signal = AbortSignal.timeout(timeoutMs)
    const probe = request({ hostname, port, path: '/v2/', agent: false, signal }, (response) => {
      response.resume()
      resolve(outcomeOf(response.statusCode ?? 0))
    })
    probe.on('error', (error) => {
      const reason = signal.aborted ? `no answer within ${timeoutMs / 1000} s` : describe(error)
      resolve({ kind: 'unreachable', reason })
    })
    probe.end()
  })
}

function outcomeOf(status: number): ProbeOutcome {
  if (status === 200) return { kind: 'answers' }
  if (demandsLogin(status)) return { kind: 'unexpected', ...LOGIN_DEMANDED }
  return { kind: 'unexpected', reason: `GET /v2/ answers ${status} instead of 200; is this a registry?` }
}

function describe(error: Error): string {
  return errorCode(error) ?? errorMessage(error)
}
