// Finds out whether an upload continues on every connection.
// A registry signs the state of an upload with its `http.secret`, so another registry with another secret refuses it.

import { lookup } from 'node:dns/promises'
import type { RegistryAddress } from '../connect/registry-address.ts'
import { sendSmallRequest, type SmallAnswer, type SmallRequest } from './small-request.ts'

export type UploadContinuation =
  | { readonly kind: 'continues' }
  | { readonly kind: 'secrets-differ' }
  | { readonly kind: 'storage-differs' }
  | { readonly kind: 'unknown'; readonly reason: string }

export interface OpenUpload {
  readonly registry: RegistryAddress
  /** With the query. */
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly timeoutMs: number
}

// If a load balancer picks one of two registries at random, it picks the same eight times in one of 128 checks.
const CONNECTIONS = 8
const MAX_BODY_LENGTH = 4096

/** Asks for the state of the upload, which changes nothing (OCI distribution specification, end-13). */
export async function continueUpload(upload: OpenUpload): Promise<UploadContinuation> {
  const requests = await requestsTo(upload, 'GET')
  return judge(await Promise.all(requests.map(sendSmallRequest)))
}

/** Repeats the request, because only one of several registries may know the upload. */
export async function cancelUpload(upload: OpenUpload): Promise<void> {
  for (const request of await requestsTo(upload, 'DELETE')) {
    const answer = await sendSmallRequest(request)
    if (answer.kind === 'answer' && answer.status !== 404) return
  }
}

/** Returns one request for each connection. The requests go to all addresses of the name in turn. */
async function requestsTo(upload: OpenUpload, method: string): Promise<readonly SmallRequest[]> {
  const { registry, path, headers, timeoutMs } = upload
  const addresses = await addressesOf(registry)
  return Array.from({ length: Math.max(CONNECTIONS, addresses.length) }, (_, index) => ({
    to: addresses[index % addresses.length] ?? registry,
    method,
    path,
    headers,
    timeoutMs,
    maxBodyLength: MAX_BODY_LENGTH,
  }))
}

async function addressesOf(registry: RegistryAddress): Promise<readonly RegistryAddress[]> {
  if ('socketPath' in registry) return [registry]
  const { hostname, port } = registry
  const found = await lookup(hostname, { all: true }).catch(() => [])
  return found.length === 0 ? [registry] : found.map(({ address }) => ({ hostname: address, port }))
}

function judge(outcomes: readonly SmallAnswer[]): UploadContinuation {
  // A name such as localhost may have an address where nothing listens. Clients then use another.
  const answers = outcomes.filter(isAnswer)
  const refused = answers.filter(({ status }) => status < 200 || status >= 300)
  const [first] = refused
  if (answers.length === 0) return { kind: 'unknown', reason: 'no connection was answered' }
  if (first === undefined) return { kind: 'continues' }
  const reason = `continuing an upload answers ${first.status}`
  // The registry that began the upload must continue it. If all refuse, registries do not support this request.
  if (refused.length === answers.length) return { kind: 'unknown', reason }
  if (refused.some((answer) => hasCode(answer, 'BLOB_UPLOAD_INVALID'))) return { kind: 'secrets-differ' }
  if (refused.some((answer) => hasCode(answer, 'BLOB_UPLOAD_UNKNOWN'))) return { kind: 'storage-differs' }
  return { kind: 'unknown', reason }
}

type Answer = Extract<SmallAnswer, { readonly kind: 'answer' }>

function isAnswer(outcome: SmallAnswer): outcome is Answer {
  return outcome.kind === 'answer'
}

/** The codes of the OCI distribution specification. */
function hasCode({ body }: Answer, code: string): boolean {
  return body.includes(`"${code}"`)
}
