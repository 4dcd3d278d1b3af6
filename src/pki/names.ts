// Parses and compares the names and addresses of certificates.
//
// node-forge encodes any text: an IDN as Latin-1, a zone id as a 17-byte address, `::2:3:4:5:6:7:8` as 14 bytes. So
// this file checks every name and converts it to its canonical form.

import { isIP, isIPv6 } from 'node:net'
import { domainToASCII } from 'node:url'

/** A name in canonical form: DNS names as lower-case A-labels, IPv6 addresses as in a URL, without brackets. */
export interface SubjectAltName {
  readonly type: 'dns' | 'ip'
  readonly value: string
}

export type ParsedHostName =
  { readonly ok: true; readonly name: SubjectAltName } | { readonly ok: false; readonly reason: string }

export function parseHostName(text: string): ParsedHostName {
  const given = text.trim()
  const host = hostPart(given)
  if (host === '') return invalid(`\`${given}\` holds no name: give a host name or an address`)
  if (host !== given) return invalid(`give only the name: \`${host}\`, not \`${given}\``)

  const bare = /^\[.*\]$/.test(given) ? given.slice(1, -1) : given
  if (bare.includes('%') && isIPv6(bare)) {
    return invalid(
      `\`${given}\` has a zone id, which is valid on one machine only: give an address without one`,
    )
  }
  const address = canonicalAddress(bare)
  if (address !== undefined) return { ok: true, name: { type: 'ip', value: address } }
  if (given.includes(':'))
    return invalid(`\`${given}\` is not an IPv6 address: write it like \`2001:db8::1\``)
  return parseDnsName(given)
}

/** Leaves out link-local IPv6 addresses, because clients need a zone id to reach them. */
export function automaticNames({ hostname, addresses }: MachineNames): readonly SubjectAltName[] {
  const candidates = ['localhost', '127.0.0.1', '::1', hostname, ...addresses]
  return candidates.flatMap((candidate) => {
    const parsed = parseHostName(candidate)
    return parsed.ok && !isLinkLocal(parsed.name) ? [parsed.name] : []
  })
}

export interface MachineNames {
  readonly hostname: string
  /** As `os.networkInterfaces()` returns them. */
  readonly addresses: readonly string[]
}

/** The configured names come first, in their order. */
export function leafNames(
  configured: readonly SubjectAltName[],
  automatic: readonly SubjectAltName[],
): readonly SubjectAltName[] {
  return [...new Map([...configured, ...automatic].map((name) => [nameKey(name), name])).values()]
}

export function hasSameNames(one: readonly SubjectAltName[], other: readonly SubjectAltName[]): boolean {
  const keys = new Set(one.map(nameKey))
  const otherKeys = new Set(other.map(nameKey))
  return keys.size === otherKeys.size && [...keys].every((key) => otherKeys.has(key))
}

export function lacksNames(present: readonly SubjectAltName[], wanted: readonly SubjectAltName[]): boolean {
  const presentKeys = new Set(present.map(nameKey))
  return wanted.some((name) => !presentKeys.has(nameKey(name)))
}

/** A wildcard stands for the first label only (RFC 9525 §6.3). */
export function isCovered({ type, value }: SubjectAltName, names: readonly SubjectAltName[]): boolean {
  const parent = type === 'dns' ? value.slice(value.indexOf('.')) : ''
  const wildcard = parent.startsWith('.') ? `*${parent}` : undefined
  return names.some((name) => name.type === type && (name.value === value || name.value === wildcard))
}

/** A name such as `127.example` is not an address. */
export function isLoopbackAddress(text: string): boolean {
  return text === '::1' || (isIP(text) === 4 && text.startsWith('127.'))
}

export function canonicalAddress(text: string): string | undefined {
  if (isIP(text) === 0 || text.includes('%')) return undefined
  return isIPv6(text) ? new URL(`http://[${text}]`).hostname.slice(1, -1) : text
}

/** Removes the scheme, path and port that people copy together with a name. */
function hostPart(given: string): string {
  return given
    .replace(/^[a-z][a-z0-9+.-]*:\/\//i, '')
    .replace(/[/\\?#].*$/s, '')
    .replace(/^(\[[^\]]*\]|[^:]*):[^:]*$/, '$1')
}

function parseDnsName(given: string): ParsedHostName {
  const isWildcard = given.startsWith('*.')
  const written = (isWildcard ? given.slice(2) : given).replace(/\.$/, '')
  if (written.includes('*')) {
    return invalid(`\`${given}\`: a wildcard stands for the whole first label only, as in \`*.example.com\``)
  }
  const ascii = toAscii(written)
  const labels = ascii?.split('.') ?? []
  if (ascii === undefined || !labels.every(isLabel)) {
    return invalid(
      `\`${given}\` is not a host name: its parts are 1 to 63 letters, digits, underscores or inner hyphens, joined by dots`,
    )
  }
  if (/^(\d+|0x[0-9a-f]*)$/.test(labels.at(-1) ?? '')) {
    return invalid(`\`${given}\` is not a valid IPv4 address: write four numbers up to 255, or a name`)
  }
  const value = isWildcard ? `*.${ascii}` : ascii
  if (value.length > 253) return invalid(`\`${given}\` is too long for a host name: at most 253 characters`)
  return { ok: true, name: { type: 'dns', value } }
}

/** `domainToASCII` decodes `%41` and drops tabs silently, so other characters are refused first. */
function toAscii(written: string): string | undefined {
  if (!/^[a-z0-9._\u0080-\u{10ffff}-]*$/iu.test(written)) return undefined
  const isAscii = /^[a-z0-9._-]*$/i.test(written)
  // ASCII skips domainToASCII, which turns `127.1` into 127.0.0.1.
  return isAscii ? written.toLowerCase() : domainToASCII(written)
}

// RFC 952 forbids underscores, but compose uses them in service names, and clients connect to these names.
function isLabel(label: string): boolean {
  return /^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$/.test(label)
}

function isLinkLocal({ type, value }: SubjectAltName): boolean {
  return type === 'ip' && /^fe[89ab][0-9a-f]:/.test(value)
}

function nameKey({ type, value }: SubjectAltName): string {
  return `${type}:${value}`
}

function invalid(reason: string): ParsedHostName {
  return { ok: false, reason }
}
