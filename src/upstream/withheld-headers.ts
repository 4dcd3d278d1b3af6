// Lists response headers of the registry that never reach a client.

// Threat: an answer below /v2/ with these headers changes how a browser treats the origin and its credentials.
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

export const WITHHELD_HEADERS: ReadonlySet<string> = new Set([
  'server',
  'x-powered-by',
  // Browsers ignore these headers over the registry's plain HTTP (RFC 6797 §8.1), but not over TLS.
  'strict-transport-security',
  'public-key-pins',
  'public-key-pins-report-only',
  'expect-ct',
  // Threat: clients would bypass the sidecar.
  'alt-svc',
  // Threat: a client sends its password to the host that a challenge names.
  'www-authenticate',
  'authentication-info',
  'authentication-control',
  'optional-www-authenticate',
  'proxy-authentication-info',
  ...PAGE_HEADERS,
])
