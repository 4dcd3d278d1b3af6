// Locations in the registry's answers, as the client has to read them.
//
// The registry builds them from what we tell it of the client's request, so that they fit. Not so with a `host` of its
// own among its settings (REGISTRY_HTTP_HOST): then it names itself, by a name that clients cannot reach, or over plain
// HTTP, and containerd drops its credentials at once. Storage drivers redirect clients elsewhere on purpose.

/** A Location for a client that called `host`. */
export type LocationRewrite = (location: string, host: string) => string

export interface UpstreamName {
  readonly hostname: string
  readonly port: number
}

// Threat: "http://registry:5000@evil/" and "http://registry:5000\\@evil/" begin with the registry's name and lead
// somewhere else. The whole authority is read, without a user name, and only what may follow one ends it.
const ABSOLUTE = /^https?:\/\/([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::(\d{1,5}))?(?=[/?#]|$)/i

const LOOPBACK: ReadonlySet<string> = new Set(['localhost', '127.0.0.1', '::1'])

/**
 * Rewrites a Location that names the registry to `https://<host>`, the rest of it byte for byte: one with its host and
 * port, one with its host alone below /v2/, or what the client called below /v2/, over plain HTTP. Relative ones and
 * those that name somebody else pass as they are.
 */
export function createLocationRewrite(upstream: UpstreamName): LocationRewrite {
  return function rewriteLocation(location, host) {
    const match = ABSOLUTE.exec(location)
    if (match === null) return location
    const [origin, hostname = '', port] = match
    const rest = location.slice(origin.length)
    const authority = port === undefined ? hostname : `${hostname}:${port}`
    const isClients = authority.toLowerCase() === host.toLowerCase() && isOfRegistry(rest)
    if (!isClients && !(isSameHost(hostname, upstream) && isSamePort(port, rest, upstream))) return location
    return `https://${host}${rest}`
  }
}

function isSameHost(hostname: string, upstream: UpstreamName): boolean {
  const name = hostname.replace(/^\[|\]$/g, '').toLowerCase()
  const own = upstream.hostname.toLowerCase()
  return name === own || (LOOPBACK.has(name) && LOOPBACK.has(own))
}

function isSamePort(port: string | undefined, rest: string, upstream: UpstreamName): boolean {
  return port === undefined ? isOfRegistry(rest) : Number(port) === upstream.port
}

// Without a port, or under the name that clients call, it may be a storage on the same machine: no storage has its
// objects below /v2/.
function isOfRegistry(rest: string): boolean {
  return rest.startsWith('/v2/')
}
