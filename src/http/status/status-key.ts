// Checks the key that clients of the admin address need for names.

import { createHash, timingSafeEqual } from 'node:crypto'
import { parseAuthorization } from '../../auth/authorization-header.ts'
import { isProof, type ProvenRequest } from '../../auth/status-proof.ts'
import type { Audience } from './status-source.ts'

/** Accepts the key or a proof. Returns `refused` if it is wrong, and `anyone` if the client sent none. */
export function audienceOf(
  authorization: string | undefined,
  key: string | undefined,
  request: ProvenRequest,
): Audience | 'refused' {
  const sent = parseAuthorization(authorization)
  if (sent.kind !== 'token') return 'anyone'
  if (key === undefined) return 'refused'
  // Digests have equal lengths, so the time says nothing about the key.
  const isKey = timingSafeEqual(digestOf(sent.token), digestOf(key))
  return isKey || isProof(sent.token, key, request) ? 'users' : 'refused'
}

function digestOf(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
