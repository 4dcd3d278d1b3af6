// Reads the address of a client and derives its source.

import ipaddr from 'ipaddr.js'
import type { Socket } from 'node:net'

export function clientAddressOf({ remoteAddress }: Pick<Socket, 'remoteAddress'>): string | undefined {
  return remoteAddress === undefined ? undefined : withoutMapping(remoteAddress)
}

/** Writes `::ffff:192.0.2.1` as `192.0.2.1`. */
export function withoutMapping(address: string): string {
  return address.replace(/^::ffff:(?=\d+\.)/, '')
}

/** An IPv6 address counts as its /64, because a client can send from all addresses of one (RFC 6177). */
export function sourceOf(address: string): string {
  if (!ipaddr.isValid(address)) return address
  const parsed = ipaddr.process(address)
  if (!(parsed instanceof ipaddr.IPv6)) return parsed.toString()
  return `${new ipaddr.IPv6([...parsed.parts.slice(0, 4), 0, 0, 0, 0]).toString()}/64`
}
