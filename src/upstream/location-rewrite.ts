// Rewrites Locations that name the registry to the client's Host.
//
// The registry builds Locations from our X-Forwarded headers, so they are usually correct. With the setting `host`
// (REGISTRY_HTTP_HOST) it names itself, by a name that clients cannot reach, or over plain HTTP. For the latter,
// containerd drops its credentials. Storage drivers redirect clients elsewhere on purpose.

/** Returns the Location for a client that sent this Host. */
export type LocationRewrite = (location: string, host: string) => string

export interface UpstreamName {
  readonly hostname: string
  readonly port: number
}

// Threat: "http://registry:5000@evil/" and "http://registry:5000\\@evil/" start with the registry's name but lead to
// another host. So the pattern matches the whole authority, without a username, up to a character that may follow it.
const ABSOLUTE = /^https?:\/\/([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::(\d{1,5}))?(?=[/?#]|$)/i

const LOOPBACK: ReadonlySet<string> = new Set(['localhost', '127.0.0.1', '::1'])

/**
 * Replaces the origin of a Location by `https://<host>` if it names the registry's host and port, or below /v2/ the
 * registry's host alone or the client's Host. The rest stays byte for byte. All other Locations stay unchanged.
 */
export function createLocationRewrite(upstream: UpstreamName): LocationRewrite {
  return function rewriteLocation(location, host) {
    const match = ABSOLUTE.exec(location)
    if (match === null) return location
    const [origin, hostname = '', port] = match
    const rest = location.slice(origin.length)
    const authority = port === undefined ? hostname : `${hostname}:${port}`
    const namesClientHost = authority.toLowerCase() === host.toLowerCase() && isBelowV2(rest)
    if (!namesClientHost && !(isSameHost(hostname, upstream) && isSamePort(port, rest, upstream)))
      return location
    return `https://${host}${rest}`
  }
}

function isSameHost(hostname: string, upstream: UpstreamName): boolean {
  const name = hostname.replace(/^\[|\]$/g, '').toLowerCase()
  const own = upstream.hostname.toLowerCase()
  return name === own || (LOOPBACK.has(name) && LOOPBACK.has(own))
}

function isSamePort(port: string | undefined, rest: string, upstream: UpstreamName): boolean {
  return port === undefined ? isBelowV2(rest) : Number(port) === upstream.port
}

// Without a port, or with the client's Host, a Location may name a storage on the same machine. No storage has its
// objects below /v2/.
function isBelowV2(rest: string): boolean {
  return rest.startsWith('/v2/')
}
