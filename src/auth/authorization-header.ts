// Parses the Authorization header.

import { parseBasic, type ParsedBasic } from './basic.ts'

export type ParsedAuthorization = ParsedBasic | { readonly kind: 'token'; readonly token: string }

/** A Bearer token of any text (RFC 6750 §2.1), or what `parseBasic` makes of the header. */
export function parseAuthorization(header: string | undefined): ParsedAuthorization {
  const [, token] = /^bearer +(\S+)$/i.exec(header ?? '') ?? []
  return token === undefined ? parseBasic(header) : { kind: 'token', token }
}
