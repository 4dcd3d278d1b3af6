// Under which keys a page names the registry. They stand in commands that people paste, and the Host header is what
// anybody may send: a name is shown only if the certificate vouches for it.

import type { RegistryKeys } from '../../trust/client-trust.ts'

export interface KnownNames {
  /** Whether the certificate is for this name or address, given without brackets. */
  readonly isOurs: (name: string) => boolean
  /** What to show otherwise. */
  readonly fallback: string
}

const HOST = /^(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+))(?::(\d{1,5}))?$/
const HTTPS_PORT = 443

/** The keys for a request with this Host header; two on port 443, which browsers and people leave out. */
export function shownKeys(hostHeader: string | undefined, { isOurs, fallback }: KnownNames): RegistryKeys {
  const [, bracketed, plain, digits] = HOST.exec(hostHeader ?? '') ?? []
  const asked = (bracketed ?? plain ?? '').toLowerCase()
  const name = asked !== '' && isOurs(asked) ? asked : fallback
  const port = digits === undefined ? HTTPS_PORT : Number(digits)
  const host = name.includes(':') ? `[${name}]` : name
  if (port === HTTPS_PORT || port < 1 || port > 65_535) return [`${host}:${HTTPS_PORT}`, host]
  return [`${host}:${port}`]
}
