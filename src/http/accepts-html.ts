// Recognizes clients that show HTML.

import type { IncomingHttpHeaders } from 'node:http'

export function acceptsHtml({ accept = '' }: Pick<IncomingHttpHeaders, 'accept'>): boolean {
  return /\btext\/html\b/i.test(accept)
}
