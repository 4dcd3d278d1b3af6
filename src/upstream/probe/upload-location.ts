// Finds out which Location clients get when they begin an upload.

import { createLocationRewrite } from '../location-rewrite.ts'
import { demandsLogin } from '../login-demand.ts'
import type { RegistryAddress } from '../connect/registry-address.ts'
import { sendSmallRequest } from './small-request.ts'
import { cancelUpload, continueUpload, type UploadContinuation } from './upload-continuation.ts'

export type LocationFinding =
  | {
      readonly kind: 'fitting' | 'misleading'
      readonly location: string
      readonly continuation: UploadContinuation
    }
  | { readonly kind: 'demands-login' }
  | { readonly kind: 'read-only' }
  | { readonly kind: 'unknown'; readonly reason: string }

export interface LocationQuestion {
  readonly registry: RegistryAddress
  /** As a client sends it. */
  readonly host: string
}

const TIMEOUT_MS = 5_000

/** Threat: clients send their password to the Location, so it must be relative or name the sidecar. */
export async function askForLocation({ registry, host }: LocationQuestion): Promise<LocationFinding> {
  const headers = { host, 'x-forwarded-proto': 'https', 'x-forwarded-host': host, 'content-length': '0' }
  const request = { to: registry, headers, timeoutMs: TIMEOUT_MS, maxBodyLength: 0 }
  const answer = await sendSmallRequest({
    ...request,
    method: 'POST',
    path: '/v2/registry-sidecar-check/blobs/uploads/',
  })
  if (answer.kind === 'failed') return { kind: 'unknown', reason: answer.code }
  if (answer.kind === 'timeout') return { kind: 'unknown', reason: `no answer within ${TIMEOUT_MS / 1000} s` }
  if (demandsLogin(answer.status)) return { kind: 'demands-login' }
  // The answer of distribution in its read-only mode.
  if (answer.status === 405) return { kind: 'read-only' }
  const { location } = answer.headers
  if (answer.status !== 202 || location === undefined) {
    return { kind: 'unknown', reason: `beginning an upload answers ${answer.status}` }
  }
  const base = `https://${host}`
  if (!URL.canParse(location, base))
    return { kind: 'unknown', reason: 'the Location of an upload is not a URL' }
  const { pathname, search } = new URL(location, base)
  const upload = { registry, path: `${pathname}${search}`, headers, timeoutMs: TIMEOUT_MS }
  const continuation = await continueUpload(upload)
  await cancelUpload(upload)
  const rewritten = createLocationRewrite(registry)(location, host)
  const isFitting = rewritten.startsWith('/') || rewritten.startsWith(`https://${host}/`)
  const shown = rewritten.split('?', 1)[0] ?? ''
  return { kind: isFitting ? 'fitting' : 'misleading', location: shown, continuation }
}
