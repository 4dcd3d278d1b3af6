// Parses PROXY protocol headers, versions 1 and 2.
// Source: https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt, called "specification" below.

import { isIPv4, isIPv6 } from 'node:net'
import { parseAddress } from '../client-address.ts'
import type { LimitName } from '../limit-audit.ts'
import type { Endpoints } from './connection.ts'

export type ProxyHeader =
  | { readonly kind: 'incomplete' }
  | { readonly kind: 'refused'; readonly fault: Extract<LimitName, `proxy-header-${string}`> }
  | {
      readonly kind: 'header'
      readonly length: number
      /** Undefined if the connection belongs to the proxy itself, or if its client has no IP address. */
      readonly endpoints: Endpoints | undefined
    }

const V1_START = Buffer.from('PROXY ')
const V2_START = Buffer.from('\r\n\r\n\0\r\nQUIT\n')

// Specification, section 2.1.
const V1_MAX_BYTES = 107

const V2_FIXED_BYTES = 16

// Threat: each unfinished header could use 64 KiB of memory. Known load balancers send less than 1 KiB.
export const V2_MAX_BYTES = 4096

const INCOMPLETE: ProxyHeader = { kind: 'incomplete' }
const MALFORMED: ProxyHeader = { kind: 'refused', fault: 'proxy-header-malformed' }

/** Parses the header at the start of these bytes. Other bytes may follow the header. */
export function parseProxyHeader(bytes: Buffer): ProxyHeader {
  if (startsLike(bytes, V2_START)) return bytes.length < V2_FIXED_BYTES ? INCOMPLETE : parseV2(bytes)
  if (startsLike(bytes, V1_START)) return bytes.length < V1_START.length ? INCOMPLETE : parseV1(bytes)
  return { kind: 'refused', fault: 'proxy-header-missing' }
}

function startsLike(bytes: Buffer, start: Buffer): boolean {
  const length = Math.min(bytes.length, start.length)
  return bytes.subarray(0, length).equals(start.subarray(0, length))
}

const V1_LINE = /^PROXY (TCP4|TCP6) ([0-9.]+|[0-9A-Fa-f:.]+) ([0-9.]+|[0-9A-Fa-f:.]+) (\d{1,5}) (\d{1,5})$/

function parseV1(bytes: Buffer): ProxyHeader {
  const end = bytes.subarray(0, V1_MAX_BYTES).indexOf('\r\n')
  if (end < 0) return bytes.length < V1_MAX_BYTES ? INCOMPLETE : MALFORMED
  const line = bytes.toString('latin1', 0, end)
  const length = end + 2
  // The text after UNKNOWN must be ignored.
  if (/^PROXY UNKNOWN(?: |$)/.test(line)) return { kind: 'header', length, endpoints: undefined }
  const [, family, from = '', to = '', ...ports] = V1_LINE.exec(line) ?? []
  const isOfFamily = family === 'TCP4' ? isIPv4 : isIPv6
  const isValid = isOfFamily(from) && isOfFamily(to) && ports.every(isPort)
  return isValid ? headerOf(length, from, to) : MALFORMED
}

function isPort(digits: string): boolean {
  return /^(?:0|[1-9]\d*)$/.test(digits) && Number(digits) <= 65_535
}

// Specification, section 2.2. Datagrams (family and transport x2) reach no TCP listener.
const LOCAL = 0x20
const PROXY = 0x21
const UNSPECIFIED = 0x00
const TCP4 = 0x11
const TCP6 = 0x21
const UNIX_STREAM = 0x31

const ADDRESS_BYTES: ReadonlyMap<number, number> = new Map([
  [UNSPECIFIED, 0],
  [TCP4, 12],
  [TCP6, 36],
  [UNIX_STREAM, 216],
])

function parseV2(bytes: Buffer): ProxyHeader {
  const [command = 0, family = 0] = bytes.subarray(V2_START.length)
  const length = V2_FIXED_BYTES + bytes.readUInt16BE(V2_START.length + 2)
  const needed = command === LOCAL ? 0 : ADDRESS_BYTES.get(family)
  if (command !== LOCAL && command !== PROXY) return MALFORMED
  if (needed === undefined || length < V2_FIXED_BYTES + needed || length > V2_MAX_BYTES) return MALFORMED
  if (bytes.length < length) return INCOMPLETE
  if (command === LOCAL) return { kind: 'header', length, endpoints: undefined }
  const addresses = bytes.subarray(V2_FIXED_BYTES, V2_FIXED_BYTES + needed)
  if (family === TCP4) return headerOf(length, ipv4(addresses.subarray(0, 4)), ipv4(addresses.subarray(4, 8)))
  if (family === TCP6)
    return headerOf(length, ipv6(addresses.subarray(0, 16)), ipv6(addresses.subarray(16, 32)))
  return { kind: 'header', length, endpoints: undefined }
}

function headerOf(length: number, from: string, to: string): ProxyHeader {
  const [address, localAddress] = [parseAddress(from), parseAddress(to)]
  if (address === undefined || localAddress === undefined) return MALFORMED
  return { kind: 'header', length, endpoints: { address, localAddress } }
}

function ipv4(bytes: Buffer): string {
  return bytes.join('.')
}

function ipv6(bytes: Buffer): string {
  return bytes.toString('hex').replace(/(.{4})(?!$)/g, '$1:')
}
