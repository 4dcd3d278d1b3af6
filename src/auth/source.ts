// Where attempts come from, as one name for all that one client can send from.

import ipaddr from 'ipaddr.js'

/**
 * The source that an address belongs to. An IPv4 address is one by itself, also when it is written as an IPv6 one
 * (`::ffff:192.0.2.1`). An IPv6 address counts as its /64, the least that a provider hands out (RFC 6177): whoever
 * can send from one address of it can send from all 2^64. What is no address is a source of that name.
 */
export function sourceOf(address: string): string {
  if (!ipaddr.isValid(address)) return address
  const parsed = ipaddr.process(address)
  if (!(parsed instanceof ipaddr.IPv6)) return parsed.toString()
  return `${new ipaddr.IPv6([...parsed.parts.slice(0, 4), 0, 0, 0, 0]).toString()}/64`
}
