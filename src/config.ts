// Every setting: its name, its default, its check. Text from the environment and the command line comes in,
// a frozen Config or the list of all problems comes out; nothing is read from anywhere else.

import { z } from 'zod'
import { ConfigError } from './errors.ts'
import {
  optional,
  orOff,
  parseAge,
  parseCount,
  parseDuration,
  parseFailureRate,
  parseListen,
  parseRealm,
  parseSize,
  parseSwitch,
  parseUpstream,
  parseWord,
  refused,
  type Parsed,
} from './setting-values.ts'
import { parseClientNameRule } from './tls/client-name.ts'
import { parseHostName, type SubjectAltName } from './tls/names.ts'

export const SETTINGS = {
  upstream: setting('http://127.0.0.1:5000', parseUpstream, 'the registry'),
  listen: setting(':8443', parseListen, 'TLS address, host:port; port 0 picks a free one'),
  adminListen: setting(
    '127.0.0.1:8444',
    orOff(parseListen),
    'plain-HTTP address for health and metrics; off for none',
  ),
  users: setting('users/htpasswd', parseText, 'htpasswd file with bcrypt entries; watched'),
  stateDir: setting('state', parseText, 'folder where root, leaf and keys live'),
  tlsCert: setting('', optional(parseText), 'certificate chain to serve instead of an issued one; watched'),
  tlsKey: setting('', optional(parseText), 'private key of that certificate; watched'),
  tlsKeyPasswordFile: setting('', optional(parseText), 'file with the password of that key; watched'),
  tlsClientCa: setting(
    '',
    optional(parseText),
    'demand client certificates signed by these CAs (PEM); watched',
  ),
  tlsClientAuth: setting(
    'require',
    parseWord(['require', 'instead', 'optional']),
    'a client certificate is required beside the password, or counts instead of it; optional: either',
  ),
  tlsClientName: setting(
    'cn',
    parseClientNameRule,
    'where it names the user: cn, email, dns, uri; also with a pattern, as in email:*@example.org',
  ),
  hosts: setting('', parseHosts, 'names and addresses clients use, comma-separated'),
  caConstrain: setting(
    'false',
    parseSwitch,
    'name constraints on a new root, so that it vouches for no other names',
  ),
  realm: setting('Registry', parseRealm, 'realm of the challenge'),
  hsts: setting('off', orOff(parseAge), 'how long browsers are to insist on HTTPS for this host; off'),
  authCache: setting('10m', orOff(parseDuration), 'how long a verified login is remembered; off'),
  throttle: setting('20/1m', orOff(parseFailureRate), 'failed logins of one source before it must wait; off'),
  spliceMemory: setting('64MiB', parseSize, 'total buffer for large bodies'),
  idleTimeout: setting('5m', parseDuration, 'a transfer that moves no byte for this long is ended'),
  responseTimeout: setting('15m', parseDuration, 'how long the registry may take to begin its answer'),
  drainTimeout: setting(
    '25s',
    parseDuration,
    'how long transfers in flight may take to finish after SIGTERM',
  ),
  // With two file descriptors each they fit into 16,384. A thousand machines that all pull at this moment do not come
  // to it, and those that are idle make room.
  maxConnections: setting('8000', orOff(parseCount), 'connections open at once; off'),
  // Half of all: no single source keeps the others out. Whole fleets stand behind one address, so it is far above what
  // one machine opens (about 10).
  maxConnectionsPerSource: setting(
    '4000',
    orOff(parseCount),
    'connections open at once from one IPv4 address or IPv6 /64; off',
  ),
  // Three round trips; a satellite link takes two seconds for them, a machine under load a few more.
  handshakeTimeout: setting('10s', parseDuration, 'how long a TLS handshake may take'),
  // Heads come in one packet. Whoever needs a minute for one wants the connection, not the answer.
  headerTimeout: setting('60s', parseDuration, 'how long the head of a request may take to arrive'),
  // An ordinary pull makes fewer than a hundred. Only copying a whole registry over one connection comes to it, and
  // then costs one handshake more.
  maxRequestsPerConnection: setting(
    '10000',
    orOff(parseCount),
    'requests on one connection before it ends; off',
  ),
  // As for a source: one name often serves a whole fleet, as the pull secret of a cluster does. 600 nodes that pull
  // three layers each at the same moment stay below it.
  maxTransfersPerUser: setting(
    '2000',
    orOff(parseCount),
    'blob transfers of one user at once, and as many other requests; off',
  ),
  watchPoll: setting(
    '1s',
    orOff(parseDuration),
    'how often watched files are looked at without file events; off',
  ),
  logLevel: setting('info', parseWord(['debug', 'info', 'warn', 'error']), 'debug, info, warn or error'),
  logFormat: setting('', parseLogFormat, 'json or pretty; pretty on a terminal'),
} as const

export type SettingName = keyof typeof SETTINGS

export type Config = { readonly [N in SettingName]: z.output<(typeof SETTINGS)[N]['schema']> }

/** `adminListen` → `SIDECAR_ADMIN_LISTEN`. */
export function variableOf(name: string): string {
  return `SIDECAR_${name.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`
}

/** `adminListen` → `--admin-listen`. */
export function flagOf(name: string): string {
  return `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`
}

export interface Sources {
  readonly env: Readonly<Record<string, string | undefined>>
  /** Values of flags, by setting; they win over the environment. */
  readonly flags?: Readonly<Partial<Record<SettingName, string>>>
}

/**
 * The settings in force. An empty value counts as unset, since compose files pass on variables that way.
 *
 * @throws ConfigError with every problem there is, unknown `SIDECAR_…` variables included
 */
export function parseConfig({ env, flags = {} }: Sources): Config {
  const problems = unknownVariables(env)
  const config: Record<string, unknown> = {}
  for (const name of settingNames()) {
    const fromFlag = flags[name]
    const text = fromFlag ?? env[variableOf(name)]
    const result = SETTINGS[name].schema.safeParse(
      text === '' || text === undefined ? SETTINGS[name].default : text,
    )
    const source = fromFlag === undefined ? variableOf(name) : flagOf(name)
    if (result.success) config[name] = result.data
    else problems.push(...result.error.issues.map((issue) => `${source}: ${issue.message}`))
  }
  problems.push(...incompleteTls({ env, flags }), ...uselessClientSettings({ env, flags }))
  if (problems.length > 0) throw new ConfigError(problems)
  return Object.freeze(config) as Config
}

// Told with the others, so whether these are set is asked here and not of what has been parsed.
function incompleteTls({ env, flags = {} }: Sources): readonly string[] {
  const isSet = isSetIn({ env, flags })
  const [cert, key] = [variableOf('tlsCert'), variableOf('tlsKey')]
  if (isSet('tlsCert') && !isSet('tlsKey'))
    return [`${cert}: set ${key} too, to the certificate's private key`]
  if (isSet('tlsKey') && !isSet('tlsCert')) return [`${key}: set ${cert} too, to the certificate of this key`]
  if (!isSet('tlsKeyPasswordFile') || isSet('tlsKey')) return []
  return [`${variableOf('tlsKeyPasswordFile')}: set ${cert} and ${key} too; it is the password of that key`]
}

// A demand that nobody checks is worse than none: whoever set it believes the registry protected.
function uselessClientSettings(sources: Sources): readonly string[] {
  const isSet = isSetIn(sources)
  if (isSet('tlsClientCa')) return []
  const mend = `set ${variableOf('tlsClientCa')} too, to the CA that signs your clients' certificates`
  const useless = (['tlsClientAuth', 'tlsClientName'] as const).filter(isSet)
  return useless.map((name) => `${variableOf(name)}: ${mend}`)
}

function isSetIn({ env, flags = {} }: Sources): (name: SettingName) => boolean {
  return (name) => (flags[name] ?? env[variableOf(name)] ?? '') !== ''
}

export function settingNames(): readonly SettingName[] {
  return Object.keys(SETTINGS) as SettingName[]
}

function unknownVariables(env: Sources['env']): string[] {
  const known = new Set(settingNames().map(variableOf))
  return Object.keys(env)
    .filter((variable) => variable.startsWith('SIDECAR_') && !known.has(variable))
    .map((variable) => `${variable}: no such setting. ${hintFor(variable)}`)
}

function hintFor(variable: string): string {
  // Kubernetes describes a Service named "sidecar" to every pod in variables like these.
  if (/^SIDECAR_(SERVICE_|PORT)/.test(variable)) {
    return 'If Kubernetes put it there, set enableServiceLinks: false in the pod'
  }
  return 'Misspelt? `registry-sidecar serve --help` lists them'
}

function setting<T>(defaultText: string, parse: (text: string) => Parsed<T>, meaning: string) {
  const schema = z.string().transform((text, context): T => {
    const result = parse(text)
    if (result.ok) return result.value
    context.issues.push({ code: 'custom', message: result.reason, input: text })
    return z.NEVER
  })
  return { default: defaultText, schema, meaning }
}

function parseText(text: string): Parsed<string> {
  return text.includes('\0') ? refused('no path holds a NUL character') : { ok: true, value: text }
}

function parseLogFormat(text: string): Parsed<'json' | 'pretty' | undefined> {
  return text === '' ? { ok: true, value: undefined } : parseWord(['json', 'pretty'])(text)
}

function parseHosts(text: string): Parsed<readonly SubjectAltName[]> {
  const items = text.split(',').map((item) => item.trim())
  const results = items.filter((item) => item !== '').map((item) => parseHostName(item))
  const reasons = results.flatMap((result) => (result.ok ? [] : [result.reason]))
  if (reasons.length > 0) return refused(reasons.join('; '))
  return { ok: true, value: results.flatMap((result) => (result.ok ? [result.name] : [])) }
}
