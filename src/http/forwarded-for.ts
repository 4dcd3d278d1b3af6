// Finds the client of a request that comes from a trusted proxy.

import { parseAddress, sourceOf, type Client, type IsProxy } from './client-address.ts'

// Threat: a long list of trusted addresses costs time. Real chains of proxies are shorter.
const MAX_HOPS = 32

/** An IPv4 address with its port, or an IPv6 address in brackets. */
const WITH_PORT = /^(?:(\d+\.\d+\.\d+\.\d+):\d{1,5}|\[([^\]]*)\](?::\d{1,5})?)$/

/** `peer` is the other side of the connection, and `isProxy` says whether it is trusted. */
export function clientOf(
  peer: Client & { readonly isProxy: boolean },
  header: string | readonly string[] | undefined,
  isProxy: IsProxy,
): Client {
  if (!peer.isProxy || header === undefined) return peer
  const address = lastUntrusted(peer.address, String(header), isProxy)
  return address === peer.address ? peer : { address, source: sourceOf(address) }
}

// Threat: the client wrote the left part of the list. So only entries that trusted proxies appended count.
function lastUntrusted(peer: string, header: string, isProxy: IsProxy): string {
  let address = peer
  let end = header.length
  for (let hop = 0; hop < MAX_HOPS && end >= 0 && (hop === 0 || isProxy(address)); hop += 1) {
    const comma = end === 0 ? -1 : header.lastIndexOf(',', end - 1)
    const reported = parseHop(header.slice(comma + 1, end).trim())
    // The proxy that appended a malformed entry does not know its client, so the proxy's address counts.
    if (reported === undefined) return address
    address = reported
    end = comma
  }
  return address
}

function parseHop(text: string): string | undefined {
  const [, ipv4, ipv6] = WITH_PORT.exec(text) ?? []
  return parseAddress(ipv4 ?? ipv6 ?? text)
}
