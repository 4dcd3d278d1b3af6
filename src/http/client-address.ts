// Reads addresses of clients and proxies, and derives their sources.

import ipaddr from 'ipaddr.js'
import { isIP, type Socket } from 'node:net'

export interface Client {
  readonly address: string
  /** All addresses of one source share limits; see `sourceOf`. */
  readonly source: string
}

export type IsProxy = (address: string) => boolean

export function clientAddressOf({ remoteAddress }: Pick<Socket, 'remoteAddress'>): string | undefined {
  return remoteAddress === undefined ? undefined : withoutMapping(remoteAddress)
}

/** Writes `::ffff:192.0.2.1` as `192.0.2.1`. */
export function withoutMapping(address: string): string {
  return address.replace(/^::ffff:(?=\d+\.)/, '')
}

/** An IPv6 address counts as its /64, because one client can use all addresses of a /64 (RFC 6177). */
export function sourceOf(address: string): string {
  if (isIP(address) === 0) return address
  const parsed = ipaddr.process(address)
  if (!(parsed instanceof ipaddr.IPv6)) return parsed.toString()
  return `${new ipaddr.IPv6([...parsed.parts.slice(0, 4), 0, 0, 0, 0]).toString()}/64`
}

/** Returns the canonical form of a reported address. Undefined for other text, and for an address with a zone. */
export function parseAddress(text: string): string | undefined {
  // ipaddr.js also accepts forms such as `0x7f.1`, and reads `::192.0.2.1` as an IPv4 address.
  if (isIP(text) === 0 || text.includes('%') || /^::\d+\./.test(text)) return undefined
  return ipaddr.process(text).toString()
}

export function createProxyList(
  blocks: readonly { readonly address: string; readonly prefixLength: number }[],
): IsProxy {
  const ranges = blocks.map(({ address, prefixLength }) => ({ range: ipaddr.parse(address), prefixLength }))
  return (address) => {
    if (ranges.length === 0 || isIP(address) === 0) return false
    const parsed = ipaddr.process(address)
    return ranges.some(
      ({ range, prefixLength }) => range.kind() === parsed.kind() && parsed.match(range, prefixLength),
    )
  }
}
