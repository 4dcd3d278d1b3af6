// Parses lists of address blocks.

import { isIP } from 'node:net'
import { canonicalAddress } from '../pki/names.ts'
import { refused, type Parsed } from './setting-values.ts'

export interface AddressBlock {
  readonly address: string
  readonly prefixLength: number
}

const BLOCK = /^([0-9a-f.:]+)(?:\/(0|[1-9]\d{0,2}))?$/i

/** `10.0.0.0/8, 2001:db8::1` → blocks. An address without a length is a block of one address. */
export function parseAddressBlocks(text: string): Parsed<readonly AddressBlock[]> {
  const items = text.split(',').map((item) => item.trim())
  const results = items.filter((item) => item !== '').map(parseBlock)
  const reasons = results.flatMap((result) => (result.ok ? [] : [result.reason]))
  if (reasons.length > 0) return refused(reasons.join('; '))
  return { ok: true, value: results.flatMap((result) => (result.ok ? [result.value] : [])) }
}

function parseBlock(text: string): Parsed<AddressBlock> {
  const [, written = '', length] = BLOCK.exec(text) ?? []
  const address = canonicalAddress(written)
  if (address === undefined) {
    return refused(`"${text}" is not an address block: write it as in 10.0.0.0/8 or 2001:db8::/32`)
  }
  // Addresses of clients are compared in their IPv4 form.
  if (address.startsWith('::ffff:')) return refused(`"${text}": write the block in its IPv4 form`)
  const longest = isIP(address) === 4 ? 32 : 128
  const prefixLength = length === undefined ? longest : Number(length)
  if (prefixLength > longest) return refused(`"${text}": the longest prefix is /${longest}`)
  // Threat: every client could choose its address, and so evade limits and bans.
  if (prefixLength === 0)
    return refused(`"${text}" contains every client; list the addresses of your proxies`)
  return { ok: true, value: { address, prefixLength } }
}
