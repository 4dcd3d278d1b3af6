// Headers of the registry's answers that never reach a client.

// Threat: a browser that holds credentials for this name believes of the whole name what one answer below /v2/ says.
// It would keep cookies, forget what it has stored, go to another page, report to other hosts which addresses are
// called, or let pages from elsewhere read what a user may read. No client of a registry needs any of these.
const PAGE_HEADERS: readonly string[] = [
  'set-cookie',
  'set-cookie2',
  'clear-site-data',
  'refresh',
  'content-security-policy',
  'content-security-policy-report-only',
  'permissions-policy',
  'feature-policy',
  'document-policy',
  'origin-agent-cluster',
  'cross-origin-opener-policy',
  'cross-origin-opener-policy-report-only',
  'cross-origin-embedder-policy',
  'cross-origin-embedder-policy-report-only',
  'report-to',
  'reporting-endpoints',
  'nel',
  'service-worker-allowed',
  'speculation-rules',
  'sourcemap',
  'x-sourcemap',
  'accept-ch',
  'critical-ch',
  'timing-allow-origin',
  'access-control-allow-origin',
  'access-control-allow-credentials',
  'access-control-allow-headers',
  'access-control-allow-methods',
  'access-control-allow-private-network',
  'access-control-expose-headers',
  'access-control-max-age',
]

/** Not the registry's to say to clients. */
export const WITHHELD_HEADERS: ReadonlySet<string> = new Set([
  // Its name and version help an attacker, not a client.
  'server',
  'x-powered-by',
  // What it says of TLS it says over plain HTTP, where RFC 6797 §8.1 has clients ignore it.
  'strict-transport-security',
  'public-key-pins',
  'public-key-pins-report-only',
  'expect-ct',
  // It would send clients around us.
  'alt-svc',
  // Threat: a client that follows a challenge of the registry sends its password to the host that the challenge names.
  'www-authenticate',
  'authentication-info',
  'authentication-control',
  'optional-www-authenticate',
  'proxy-authentication-info',
  ...PAGE_HEADERS,
])
