// Parses the Authorization header.

import { parseBasic, type ParsedBasic } from './basic.ts'

export type ParsedAuthorization = ParsedBasic | { readonly kind: 'token'; readonly token: string }

/** Accepts any Bearer token without blanks (RFC 6750 §2.1). Other headers go to `parseBasic`. */
export function parseAuthorization(header: string | undefined): ParsedAuthorization {
  const [, token] = /^bearer +(\S+)$/i.exec(header ?? '') ?? []
  return token === undefined ? parseBasic(header) : { kind: 'token', token }
}
