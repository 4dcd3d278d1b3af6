// Parses the texts of settings: durations, addresses, URLs.

import type { RegistryAddress } from '../upstream/connect/registry-address.ts'

export type Parsed<T> =
  { readonly ok: true; readonly value: T } | { readonly ok: false; readonly reason: string }

/** Without `host`, the listener binds every address of this machine, IPv6 and IPv4. */
export interface ListenAddress {
  readonly host: string | undefined
  readonly port: number
}

const MILLISECONDS_IN: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
}

const BYTES_IN: Readonly<Record<string, number>> = { KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 }

// With a longer time, setTimeout fires immediately.
const LONGEST_TIMER_MS = 2 ** 31 - 1

// Clients may store the age as a 32-bit number.
const LONGEST_AGE_S = 2 ** 31 - 1

/** `500ms`, `25s`, `2m`, `1h`, `1d` → milliseconds, at least 1. */
export function parseDuration(text: string): Parsed<number> {
  const span = parseSpan(text)
  if (span.ok && span.value > LONGEST_TIMER_MS) return refused(`"${text}" is too long: at most 24d`)
  return span
}

/** As a duration, but `0s` is allowed. */
export function parseDelay(text: string): Parsed<number> {
  return /^0(?:ms|s|m|h|d)$/.test(text) ? { ok: true, value: 0 } : parseDuration(text)
}

/** `12h`, `365d` → whole seconds, at least 1, for times that clients remember. */
export function parseAge(text: string): Parsed<number> {
  const span = parseSpan(text)
  if (!span.ok) return span
  const seconds = Math.floor(span.value / 1000)
  if (seconds < 1) return refused(`"${text}" is too short: at least 1s`)
  return seconds > LONGEST_AGE_S
    ? refused(`"${text}" is too long: at most 24855d`)
    : { ok: true, value: seconds }
}

function parseSpan(text: string): Parsed<number> {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(text)
  if (match === null)
    return refused(`"${text}" is not a duration: write a number with its unit, as in 500ms, 25s or 2m`)
  const milliseconds = Math.round(Number(match[1]) * (MILLISECONDS_IN[match[2] ?? ''] ?? Number.NaN))
  if (milliseconds < 1) return refused(`"${text}" must be greater than 0`)
  return { ok: true, value: milliseconds }
}

export interface FailureRate {
  readonly failures: number
  readonly windowMs: number
}

/** `20/1m` → failures per duration, at least 1. */
export function parseFailureRate(text: string): Parsed<FailureRate> {
  const [, failures = '0', duration = ''] = /^(\d{1,6})\/(.*)$/.exec(text) ?? []
  const window = parseDuration(duration)
  if (Number(failures) < 1 || !window.ok)
    return refused(`"${text}" is not a rate: write failures per duration, as in 20/1m, or off`)
  return { ok: true, value: { failures: Number(failures), windowMs: window.value } }
}

/** `512KiB`, `64MiB`, `1GiB` → bytes. */
export function parseSize(text: string): Parsed<number> {
  const match = /^(\d{1,6})(KiB|MiB|GiB)$/.exec(text)
  if (match === null)
    return refused(`"${text}" is not a size: write a number with its unit, as in 512KiB or 64MiB`)
  return { ok: true, value: Number(match[1]) * (BYTES_IN[match[2] ?? ''] ?? Number.NaN) }
}

export function parseCount(text: string): Parsed<number> {
  if (!/^[1-9]\d{0,6}$/.test(text))
    return refused(`"${text}" is not a count: write a whole number, as in 2000`)
  return { ok: true, value: Number(text) }
}

/** `host:port`, `:port` or `[ipv6]:port`. With port 0 the system picks a free port. */
export function parseListen(text: string): Parsed<ListenAddress> {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^\s:/[\]]*)):(\d{1,5})$/.exec(text)
  if (match === null)
    return refused(`"${text}" is not an address: write host:port, as in :8443 or 127.0.0.1:8443`)
  const port = Number(match[3])
  if (port > 65_535) return refused(`"${text}": the highest port is 65535`)
  const host = match[1] ?? match[2]
  return { ok: true, value: { host: host === '' ? undefined : host, port } }
}

/** `http://host:port` or `unix:/path/of/socket`. */
export function parseUpstream(text: string): Parsed<RegistryAddress> {
  if (text.startsWith('unix:')) return parseSocket(text.slice('unix:'.length))
  if (!URL.canParse(text))
    return refused(`"${text}" is not an address: write http://host:port or unix:/path/of/socket`)
  const url = new URL(text)
  if (url.protocol !== 'http:') {
    return refused(
      `"${url.protocol}//…": the registry must be reached over plain http, as in http://registry:5000`,
    )
  }
  if (url.username !== '' || url.password !== '')
    return refused('the URL must contain no user name or password')
  if (url.pathname !== '/' || url.search !== '' || url.hash !== '') {
    return refused(`"${text}": write only http://host:port, with nothing after it`)
  }
  const hostname = url.hostname.replace(/^\[|\]$/g, '')
  return { ok: true, value: { hostname, port: url.port === '' ? 80 : Number(url.port) } }
}

// unix(7): `sun_path` has 108 bytes, and the last is NUL.
const LONGEST_SOCKET_PATH = 107

function parseSocket(path: string): Parsed<RegistryAddress> {
  if (!path.startsWith('/'))
    return refused(`"unix:${path}": write an absolute path, as in unix:/run/registry/registry.sock`)
  if (path.includes('\0')) return refused('the path must not contain a NUL character')
  const length = Buffer.byteLength(path)
  if (length > LONGEST_SOCKET_PATH)
    return refused(
      `the path of the socket has ${length} bytes, but the system allows at most ${LONGEST_SOCKET_PATH}; choose a shorter path`,
    )
  return { ok: true, value: { socketPath: path } }
}

export function parseWord<const W extends string>(words: readonly W[]): (text: string) => Parsed<W> {
  return (text) => {
    const word = words.find((candidate) => candidate === text)
    return word === undefined
      ? refused(`"${text}" is not one of ${words.join(', ')}`)
      : { ok: true, value: word }
  }
}

/** Accepts only `true` and `false`, because a misunderstood word must not switch off a protection. */
export function parseSwitch(text: string): Parsed<boolean> {
  const word = parseWord(['true', 'false'])(text)
  return word.ok ? { ok: true, value: word.value === 'true' } : word
}

export function orOff<T>(parse: (text: string) => Parsed<T>): (text: string) => Parsed<T | 'off'> {
  return (text) => (text === 'off' ? { ok: true, value: 'off' } : parse(text))
}

export function optional<T>(parse: (text: string) => Parsed<T>): (text: string) => Parsed<T | undefined> {
  return (text) => (text === '' ? { ok: true, value: undefined } : parse(text))
}

export function parseText(text: string): Parsed<string> {
  return text.includes('\0')
    ? refused('the path must not contain a NUL character')
    : { ok: true, value: text }
}

export function parseRealm(text: string): Parsed<string> {
  if (text.trim() === '')
    return refused('the realm must not be empty, because podman and skopeo refuse an empty realm')
  if (!/^[\x20-\x7e]+$/.test(text)) return refused('the realm must be printable ASCII')
  return { ok: true, value: text }
}

export function refused(reason: string): { readonly ok: false; readonly reason: string } {
  return { ok: false, reason }
}
