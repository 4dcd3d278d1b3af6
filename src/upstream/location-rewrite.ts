// Rewrites Locations that name the registry to the client's Host.
// The registry's setting `host` (REGISTRY_HTTP_HOST) may be a name that clients cannot reach.

import type { RegistryAddress, TcpAddress } from './connect/registry-address.ts'

export type LocationRewrite = (location: string, host: string) => string

// Threat: "http://registry:5000@evil/" and "http://registry:5000\\@evil/" lead to another host.
const ABSOLUTE = /^https?:\/\/([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::(\d{1,5}))?(?=[/?#]|$)/i

const LOOPBACK: ReadonlySet<string> = new Set(['localhost', '127.0.0.1', '::1'])

/** Replaces only an origin that names the registry or the client's Host. */
export function createLocationRewrite(upstream: RegistryAddress): LocationRewrite {
  return function rewriteLocation(location, host) {
    const match = ABSOLUTE.exec(location)
    if (match === null) return location
    const [origin, hostname = '', port] = match
    const rest = location.slice(origin.length)
    const authority = port === undefined ? hostname : `${hostname}:${port}`
    const namesClientHost = authority.toLowerCase() === host.toLowerCase() && isBelowV2(rest)
    if (namesClientHost || namesRegistry({ hostname, port, rest }, upstream)) return `https://${host}${rest}`
    return location
  }
}

interface Named {
  readonly hostname: string
  readonly port: string | undefined
  readonly rest: string
}

// A registry on a unix socket has no name, so it can only name the client's Host.
function namesRegistry({ hostname, port, rest }: Named, upstream: RegistryAddress): boolean {
  if ('socketPath' in upstream) return false
  return isSameHost(hostname, upstream) && isSamePort(port, rest, upstream)
}

function isSameHost(hostname: string, upstream: TcpAddress): boolean {
  const name = hostname.replace(/^\[|\]$/g, '').toLowerCase()
  const upstreamName = upstream.hostname.toLowerCase()
  return name === upstreamName || (LOOPBACK.has(name) && LOOPBACK.has(upstreamName))
}

function isSamePort(port: string | undefined, rest: string, upstream: TcpAddress): boolean {
  return port === undefined ? isBelowV2(rest) : Number(port) === upstream.port
}

// A storage server on the same machine may have the same name, but it has no objects below /v2/.
function isBelowV2(rest: string): boolean {
  return rest.startsWith('/v2/')
}
