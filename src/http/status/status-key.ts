// Checks the key that shows names on the admin address.

import { createHash, timingSafeEqual } from 'node:crypto'
import { parseAuthorization } from '../../auth/authorization-header.ts'
import type { Audience } from './status-source.ts'

/** `refused`: the client sent another key. Without any key it is `anyone`. */
export function audienceOf(authorization: string | undefined, key: string | undefined): Audience | 'refused' {
  const sent = parseAuthorization(authorization)
  if (sent.kind !== 'token') return 'anyone'
  // Digests have equal lengths, so the time says nothing about the key.
  return key !== undefined && timingSafeEqual(digestOf(sent.token), digestOf(key)) ? 'users' : 'refused'
}

function digestOf(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
