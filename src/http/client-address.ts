// Reads and normalizes the client's address; nothing else in http reads it.

import type { Socket } from 'node:net'

/** The client's address as TCP reports it; undefined once the connection has closed. */
export function clientAddressOf({ remoteAddress }: Pick<Socket, 'remoteAddress'>): string | undefined {
  return remoteAddress === undefined ? undefined : withoutMapping(remoteAddress)
}

/** An IPv4 address without the prefix that it has on an IPv6 socket (`::ffff:192.0.2.1`). */
export function withoutMapping(address: string): string {
  return address.replace(/^::ffff:(?=\d+\.)/, '')
}
