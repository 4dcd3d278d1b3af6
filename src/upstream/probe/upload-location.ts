// Finds out which Location clients get when they begin an upload.

import { createLocationRewrite } from '../location-rewrite.ts'
import { demandsLogin } from '../login-demand.ts'
import { sendSmallRequest } from './small-request.ts'

export type LocationFinding =
  | { readonly kind: 'fitting'; readonly location: string }
  | { readonly kind: 'misleading'; readonly location: string }
  | { readonly kind: 'demands-login' }
  | { readonly kind: 'unknown'; readonly reason: string }

export interface LocationQuestion {
  readonly hostname: string
  readonly port: number
  readonly host: string
}

const TIMEOUT_MS = 5_000

/** Threat: clients send their password to the Location, so it must be relative or name the sidecar. */
export async function askForLocation({ hostname, port, host }: LocationQuestion): Promise<LocationFinding> {
  const headers = { host, 'x-forwarded-proto': 'https', 'x-forwarded-host': host, 'content-length': '0' }
  const request = { to: { hostname, port }, headers, timeoutMs: TIMEOUT_MS, maxBodyLength: 0 }
  const answer = await sendSmallRequest({
    ...request,
    method: 'POST',
    path: '/v2/registry-sidecar-check/blobs/uploads/',
  })
  if (answer.kind === 'failed') return { kind: 'unknown', reason: answer.code }
  if (answer.kind === 'timeout') return { kind: 'unknown', reason: `no answer within ${TIMEOUT_MS / 1000} s` }
  if (demandsLogin(answer.status)) return { kind: 'demands-login' }
  const { location } = answer.headers
  if (answer.status !== 202 || location === undefined) {
    return { kind: 'unknown', reason: `beginning an upload answers ${answer.status}` }
  }
  const base = `https://${host}`
  if (!URL.canParse(location, base))
    return { kind: 'unknown', reason: 'the Location of an upload is not a URL' }
  const { pathname, search } = new URL(location, base)
  await sendSmallRequest({ ...request, method: 'DELETE', path: `${pathname}${search}` })
  const rewritten = createLocationRewrite({ hostname, port })(location, host)
  const isFitting = rewritten.startsWith('/') || rewritten.startsWith(`https://${host}/`)
  return { kind: isFitting ? 'fitting' : 'misleading', location: rewritten.split('?', 1)[0] ?? '' }
}
