// Names: which names and addresses the leaf should carry.
//
// node-forge encodes whatever it is handed: an IDN as Latin-1, a zone id as a 17-byte address, `::2:3:4:5:6:7:8`
// as 14 bytes. So every name is checked and brought to one form here, before a certificate sees it.

import { isIP, isIPv6 } from 'node:net'
import { domainToASCII } from 'node:url'

/**
 * A name in the one form this project compares and encodes: DNS names in lower case as A-labels, IPv6 addresses
 * shortened as in a URL's host, without brackets.
 */
export interface SubjectAltName {
  readonly type: 'dns' | 'ip'
  readonly value: string
}

export type ParsedHostName =
  { readonly ok: true; readonly name: SubjectAltName } | { readonly ok: false; readonly reason: string }

/** Reads one name or address as a person writes it. A refusal's reason quotes the name and says what to write instead. */
export function parseHostName(text: string): ParsedHostName {
  const given = text.trim()
  const alone = nameAlone(given)
  if (alone === '') return refuse(`\`${given}\` names nothing: give a host name or an address`)
  if (alone !== given) return refuse(`give the name alone: \`${alone}\`, not \`${given}\``)

  const bare = /^\[.*\]$/.test(given) ? given.slice(1, -1) : given
  if (bare.includes('%') && isIPv6(bare)) {
    return refuse(
      `\`${given}\` carries a zone id, which means something on one machine only: give an address without`,
    )
  }
  const address = canonicalAddress(bare)
  if (address !== undefined) return { ok: true, name: { type: 'ip', value: address } }
  if (given.includes(':')) return refuse(`\`${given}\` is not an IPv6 address: write it like \`2001:db8::1\``)
  return parseDnsName(given)
}

/**
 * The names that need no setting: localhost, the loopback addresses, and those of this machine that a certificate
 * can carry. Link-local IPv6 addresses are left out, because a client reaches them through a zone id only.
 */
export function automaticNames({ hostname, addresses }: MachineNames): readonly SubjectAltName[] {
  const candidates = ['localhost', '127.0.0.1', '::1', hostname, ...addresses]
  return candidates.flatMap((candidate) => {
    const parsed = parseHostName(candidate)
    return parsed.ok && !isLinkLocal(parsed.name) ? [parsed.name] : []
  })
}

export interface MachineNames {
  readonly hostname: string
  /** As `os.networkInterfaces()` gives them. */
  readonly addresses: readonly string[]
}

/** All names of a leaf, each once: the configured ones first, in the order in which they were given. */
export function leafNames(
  configured: readonly SubjectAltName[],
  automatic: readonly SubjectAltName[],
): readonly SubjectAltName[] {
  return [...new Map([...configured, ...automatic].map((name) => [nameKey(name), name])).values()]
}

/** Whether both lists hold the same names, in whatever order. */
export function hasSameNames(one: readonly SubjectAltName[], other: readonly SubjectAltName[]): boolean {
  const ours = new Set(one.map(nameKey))
  const theirs = new Set(other.map(nameKey))
  return ours.size === theirs.size && [...ours].every((key) => theirs.has(key))
}

/** Whether one of the wanted names is not among those that are there. */
export function lacksNames(present: readonly SubjectAltName[], wanted: readonly SubjectAltName[]): boolean {
  const there = new Set(present.map(nameKey))
  return wanted.some((name) => !there.has(nameKey(name)))
}

/**
 * Whether a client that dials `name` finds it among the names of a certificate: as it is, or by a wildcard in the place
 * of its first label, and of nothing else (RFC 9525 §6.3). Addresses are compared with addresses alone.
 */
export function isCovered({ type, value }: SubjectAltName, names: readonly SubjectAltName[]): boolean {
  const parent = type === 'dns' ? value.slice(value.indexOf('.')) : ''
  const wildcard = parent.startsWith('.') ? `*${parent}` : undefined
  return names.some((name) => name.type === type && (name.value === value || name.value === wildcard))
}

/** The address in its one form, or undefined for anything that is not an address. */
export function canonicalAddress(text: string): string | undefined {
  if (isIP(text) === 0 || text.includes('%')) return undefined
  return isIPv6(text) ? new URL(`http://[${text}]`).hostname.slice(1, -1) : text
}

/** What is left without the scheme, path and port that people copy along with a name. */
function nameAlone(given: string): string {
  return given
    .replace(/^[a-z][a-z0-9+.-]*:\/\//i, '')
    .replace(/[/\\?#].*$/s, '')
    .replace(/^(\[[^\]]*\]|[^:]*):[^:]*$/, '$1')
}

function parseDnsName(given: string): ParsedHostName {
  const isWildcard = given.startsWith('*.')
  const written = (isWildcard ? given.slice(2) : given).replace(/\.$/, '')
  if (written.includes('*')) {
    return refuse(`\`${given}\`: a wildcard stands for the whole first label only, as in \`*.example.com\``)
  }
  const ascii = toAscii(written)
  const labels = ascii?.split('.') ?? []
  if (ascii === undefined || !labels.every(isLabel)) {
    return refuse(
      `\`${given}\` is not a host name: its parts are 1 to 63 letters, digits, underscores or inner hyphens, joined by dots`,
    )
  }
  if (/^(\d+|0x[0-9a-f]*)$/.test(labels.at(-1) ?? '')) {
    return refuse(`\`${given}\` looks like an address and is none: write four numbers up to 255, or a name`)
  }
  const value = isWildcard ? `*.${ascii}` : ascii
  if (value.length > 253) return refuse(`\`${given}\` is too long for a host name: at most 253 characters`)
  return { ok: true, name: { type: 'dns', value } }
}

/** The A-label form. Only letters pass to `domainToASCII`: it would decode `%41` and drop a tab without a word. */
function toAscii(written: string): string | undefined {
  if (!/^[a-z0-9._\u0080-\u{10ffff}-]*$/iu.test(written)) return undefined
  const isAscii = /^[a-z0-9._-]*$/i.test(written)
  // domainToASCII also reads `127.1` as 127.0.0.1: what is plain already must reach the check for addresses as is.
  return isAscii ? written.toLowerCase() : domainToASCII(written)
}

// Underscores are no part of a host name by RFC 952, yet compose makes service names with them and clients dial them.
function isLabel(label: string): boolean {
  return /^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$/.test(label)
}

function isLinkLocal({ type, value }: SubjectAltName): boolean {
  return type === 'ip' && /^fe[89ab][0-9a-f]:/.test(value)
}

function nameKey({ type, value }: SubjectAltName): string {
  return `${type}:${value}`
}

function refuse(reason: string): ParsedHostName {
  return { ok: false, reason }
}
