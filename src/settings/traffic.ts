// Settings about addresses, transfers, limits and logs.

import {
  optional,
  orOff,
  parseCount,
  parseDelay,
  parseDuration,
  parseListen,
  parseSize,
  parseSwitch,
  parseText,
  parseUpstream,
  parseWord,
  refused,
  type Parsed,
} from './setting-values.ts'
import { parseAddressBlocks } from './address-blocks.ts'
import type { Settings } from './setting.ts'

export const ADDRESSES = {
  upstream: {
    default: 'http://127.0.0.1:5000',
    form: 'address',
    parse: parseUpstream,
    meaning: 'The registry behind the sidecar: http://host:port, or unix:/path/of/socket.',
    details: 'See [a registry on a unix socket](operations.md#a-registry-on-a-unix-socket).',
  },
  listen: {
    default: ':8443',
    form: 'host:port',
    parse: parseListen,
    meaning: 'The TLS address for clients. Port 0 picks a free port.',
    details: 'Without a host, the sidecar listens on every address of this machine, IPv4 and IPv6.',
  },
  adminListen: {
    default: '127.0.0.1:8444',
    form: 'host:port',
    parse: orOff(parseListen),
    meaning: 'The plain-HTTP address for health, metrics and status; off for none.',
    details: 'This address needs no login, so keep it on the loopback interface or on a private network.',
  },
  reusePort: {
    default: 'false',
    form: 'true|false',
    words: ['true', 'false'],
    parse: parseSwitch,
    meaning: 'true: several sidecars share the TLS port, for updates without a gap or for more cores.',
    details:
      'Needs Linux and Node 22.12 or later. All must run as the same user with this setting, each with its own ' +
      '`SIDECAR_ADMIN_LISTEN`. See [updates](updates.md).',
  },
  trustedProxies: {
    default: '',
    form: 'blocks',
    parse: parseAddressBlocks,
    meaning: 'The address blocks of your load balancers and proxies, separated by commas.',
    details:
      'The sidecar takes the address of a client from the `X-Forwarded-For` of these peers only. Example: ' +
      '`10.0.0.0/24,2001:db8::5`. See [load balancers](load-balancers.md).',
  },
  proxyProtocol: {
    default: 'off',
    form: 'mode',
    words: ['on', 'off'],
    parse: parseWord(['on', 'off']),
    meaning: 'on: each connection must begin with a PROXY protocol header, version 1 or 2.',
    details:
      'The header is accepted only from `SIDECAR_TRUSTED_PROXIES`. All other connections are closed. See ' +
      '[load balancers](load-balancers.md).',
  },
} as const satisfies Settings

export const TRANSFERS = {
  idleTimeout: {
    default: '5m',
    form: 'duration',
    parse: parseDuration,
    meaning: 'How long a transfer may move no byte before the sidecar ends it.',
  },
  responseTimeout: {
    default: '15m',
    form: 'duration',
    parse: parseDuration,
    meaning: 'How long the registry may take to begin its answer.',
  },
  drainTimeout: {
    default: '25s',
    form: 'duration',
    parse: parseDuration,
    meaning: 'How long transfers in flight may take to finish after SIGTERM.',
    details: 'The time counts from the end of `SIDECAR_DRAIN_DELAY`.',
  },
  drainDelay: {
    default: '0s',
    form: 'duration',
    parse: parseDelay,
    meaning: 'How long the sidecar goes on accepting connections after SIGTERM.',
    details:
      '`/readyz` answers 503 at once, so that load balancers choose another sidecar. See ' +
      '[the steps of a shutdown](operations.md#shutdown).',
  },
  // A handshake takes three round trips: two seconds over a satellite link, and a few more on a busy machine.
  handshakeTimeout: {
    default: '10s',
    form: 'duration',
    parse: parseDuration,
    meaning: 'How long a TLS handshake may take, and a PROXY protocol header before it.',
  },
  // A request head fits into one packet, so a client that needs a minute for it wants to hold the connection.
  headerTimeout: {
    default: '60s',
    form: 'duration',
    parse: parseDuration,
    meaning: 'How long the head of a request may take to arrive.',
  },
  spliceMemory: {
    default: '64MiB',
    form: 'size',
    parse: parseSize,
    meaning: 'The total buffer for large bodies.',
    details: 'When the buffer is used up, further transfers take a slower path.',
  },
} as const satisfies Settings

export const LIMITS = {
  // Each connection needs two file descriptors, so 8000 fit into 16,384. A thousand machines that pull need fewer.
  maxConnections: {
    default: '8000',
    form: 'count',
    parse: orOff(parseCount),
    meaning: 'How many connections may be open at once; off for no limit.',
    details: 'The limit is never more than (`ulimit -n` − 256) ÷ 2.',
  },
  // Half of all connections, so that no source blocks the others. Machines behind one address open about 10 each.
  maxConnectionsPerSource: {
    default: '4000',
    form: 'count',
    parse: orOff(parseCount),
    meaning: 'How many connections one IPv4 address or IPv6 /64 may have open; off for no limit.',
    details:
      'The limit is at most half of all connections. Set it to `off` if all clients share one address. It does not ' +
      'apply to connections of `SIDECAR_TRUSTED_PROXIES`.',
  },
  // An ordinary pull makes fewer than a hundred requests. A copy of a whole registry needs few new connections.
  maxRequestsPerConnection: {
    default: '10000',
    form: 'count',
    parse: orOff(parseCount),
    meaning: 'How many requests one connection may make before it ends; off for no limit.',
  },
  // Many machines often share one user. 600 machines that each pull three layers at once stay below this limit.
  maxTransfersPerUser: {
    default: '2000',
    form: 'count',
    parse: orOff(parseCount),
    meaning: 'How many blob transfers one user may have at once; off for no limit.',
    details: 'The same number of other requests is allowed in addition.',
  },
} as const satisfies Settings

export const LOGS_AND_FILES = {
  watchPoll: {
    default: '1s',
    form: 'duration',
    parse: orOff(parseDuration),
    meaning: 'How often watched files are checked without file events; off to use only file events.',
  },
  logLevel: {
    default: 'info',
    form: 'level',
    words: ['debug', 'info', 'warn', 'error'],
    parse: parseWord(['debug', 'info', 'warn', 'error']),
    meaning: 'The lowest level of log lines that are written: debug, info, warn or error.',
  },
  logFormat: {
    default: '',
    form: 'format',
    words: ['json', 'pretty'],
    parse: optional(parseWord(['json', 'pretty'])),
    meaning: 'The format of log lines, json or pretty; the default is pretty on a terminal, else json.',
  },
  audit: {
    default: 'off',
    form: 'file',
    parse: parseAudit,
    meaning: 'Where pushes, deletions and denied actions are recorded: a file, stdout or off.',
    details:
      'One JSON line for each, also for changes of users and for renewals. The file is opened again at SIGUSR1 and ' +
      'SIGHUP. [The audit stream](audit.md) describes the lines.',
  },
} as const satisfies Settings

// Threat: if standard output is opened again by its path, Node does not notice that its reader is gone.
const STDOUT_PATHS = ['/dev/stdout', '/dev/fd/1', '/proc/self/fd/1']

function parseAudit(text: string): Parsed<'off' | 'stdout' | { readonly file: string }> {
  if (text === 'off' || text === 'stdout') return { ok: true, value: text }
  if (STDOUT_PATHS.includes(text)) return refused(`write stdout instead of "${text}"`)
  const path = parseText(text)
  return path.ok ? { ok: true, value: { file: path.value } } : path
}
