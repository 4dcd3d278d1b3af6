// Checks the key that clients of the admin address need for names.

import { createHash, timingSafeEqual } from 'node:crypto'
import { parseAuthorization } from '../../auth/authorization-header.ts'
import type { Audience } from './status-source.ts'

/** Returns `refused` for a wrong key, and `anyone` if the client sent no key. */
export function audienceOf(authorization: string | undefined, key: string | undefined): Audience | 'refused' {
  const sent = parseAuthorization(authorization)
  if (sent.kind !== 'token') return 'anyone'
  // Digests have equal lengths, so the time says nothing about the key.
  return key !== undefined && timingSafeEqual(digestOf(sent.token), digestOf(key)) ? 'users' : 'refused'
}

function digestOf(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
