// Chooses the registry keys (`host:port`) that a page shows.
// Threat: people paste commands with these keys, and a client can send any Host header.

import type { RegistryKeys } from '../../client-setup/client-setup.ts'
import { parseHost } from '../host-header.ts'

export interface CertificateNames {
  readonly isCovered: (name: string) => boolean
  readonly fallback: string
}

const HTTPS_PORT = 443

/** Returns two keys for port 443, because people may omit the port. */
export function shownKeys(
  hostHeader: string | undefined,
  { isCovered, fallback }: CertificateNames,
): RegistryKeys {
  const { name: sent = '', port = HTTPS_PORT } = parseHost(hostHeader) ?? {}
  const requested = sent.toLowerCase()
  const name = requested !== '' && isCovered(requested) ? requested : fallback
  const host = name.includes(':') ? `[${name}]` : name
  if (port === HTTPS_PORT || port < 1 || port > 65_535) return [`${host}:${HTTPS_PORT}`, host]
  return [`${host}:${port}`]
}
