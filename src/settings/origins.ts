// Parses the origins whose pages may call the registry.

import { refused, type Parsed } from './setting-values.ts'

const HOST = /^(?:[a-z0-9._-]+|\[[0-9a-f:]+\])(?::\d{1,5})?$/

/** `https://ui.example, http://localhost:8080` → origins as browsers send them. They are compared byte for byte. */
export function parseOrigins(text: string): Parsed<readonly string[]> {
  const origins = text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '')
  const reasons = origins.flatMap((origin) => objectionTo(origin) ?? [])
  return reasons.length > 0 ? refused(reasons.join('; ')) : { ok: true, value: origins }
}

function objectionTo(text: string): string | undefined {
  if (text.includes('*')) {
    return `"${text}": a wildcard would let any page use the login of its visitor; list each origin`
  }
  // Browsers send "null" for local files and for sandboxed frames in any page.
  if (text === 'null')
    return '"null" is the origin of any sandboxed page; serve your page from its own address'
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || !/^https?:$/.test(url.protocol) || !HOST.test(url.host)) {
    return `"${text}" is not an origin: write scheme://host[:port], as in https://ui.example`
  }
  // The text may hold a password, so it is not repeated.
  return text === url.origin
    ? undefined
    : `this is not the form in which browsers send the origin: write ${url.origin}`
}
