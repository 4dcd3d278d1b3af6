// Reads the address of a client, and the source it belongs to.

import ipaddr from 'ipaddr.js'
import type { Socket } from 'node:net'

/** The client's address as TCP reports it; undefined once the connection has closed. */
export function clientAddressOf({ remoteAddress }: Pick<Socket, 'remoteAddress'>): string | undefined {
  return remoteAddress === undefined ? undefined : withoutMapping(remoteAddress)
}

/** Writes an IPv4 address that came over an IPv6 socket (`::ffff:192.0.2.1`) as an IPv4 address. */
export function withoutMapping(address: string): string {
  return address.replace(/^::ffff:(?=\d+\.)/, '')
}

/**
 * The source that an address belongs to, which limits count by. An IPv4 address is a source by itself, also in the
 * form of IPv6. An IPv6 address counts as its /64, because a client gets at least that many (RFC 6177). A client that
 * can send from one of them can send from all of them. Text that is not an address is a source of that name.
 */
export function sourceOf(address: string): string {
  if (!ipaddr.isValid(address)) return address
  const parsed = ipaddr.process(address)
  if (!(parsed instanceof ipaddr.IPv6)) return parsed.toString()
  return `${new ipaddr.IPv6([...parsed.parts.slice(0, 4), 0, 0, 0, 0]).toString()}/64`
}
