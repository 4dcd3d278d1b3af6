// Reads and writes name constraints (RFC 5280 §4.2.1.10).
//
// Written by hand, because neither node-forge nor Node supports the extension.

import { isIPv6 } from 'node:net'

import { DER, encodeDer, extensionValue, within, type DerValue } from './der.ts'
import { canonicalAddress, type SubjectAltName } from './names.ts'

export const NAME_CONSTRAINTS_OID = '2.5.29.30'
const NAME_CONSTRAINTS = Buffer.from([0x55, 0x1d, 0x1e])

/** The names that a root permits. A DNS name also permits the names below it. */
export type PermittedNames = readonly SubjectAltName[]

const PERMITTED = 0xa0
const EXCLUDED = 0xa1
const DNS_NAME = 0x82
const IP_ADDRESS = 0x87

/** A root must permit `a.example` for a leaf with `*.a.example`. */
export function permittedNames(names: readonly SubjectAltName[]): PermittedNames {
  const bases = names.map(({ type, value }) => ({
    type,
    value: type === 'dns' ? value.replace(/^\*\./, '') : value,
  }))
  return bases.filter((base, index) => {
    const others = bases.filter((_, other) => other !== index)
    const isRepeated =
      bases.findIndex(({ type, value }) => type === base.type && value === base.value) < index
    return !isRepeated && !others.some((other) => other.value !== base.value && isBelow(base, other))
  })
}

export function notPermitted(
  names: readonly SubjectAltName[],
  permitted: PermittedNames | undefined,
): readonly SubjectAltName[] {
  if (permitted === undefined) return []
  return names.filter((name) => !permitted.some((base) => isBelow(name, base)))
}

/** Undefined permits all names. */
export function permittedByBoth(
  one: PermittedNames | undefined,
  other: PermittedNames | undefined,
): PermittedNames | undefined {
  if (one === undefined || other === undefined) return one ?? other
  const narrower = [
    ...one.filter((base) => other.some((wider) => isBelow(base, wider))),
    ...other.filter((base) => one.some((wider) => isBelow(base, wider))),
  ]
  return permittedNames(narrower)
}

function isBelow({ type, value }: SubjectAltName, base: SubjectAltName): boolean {
  if (type !== base.type) return false
  return value === base.value || (type === 'dns' && value.endsWith(`.${base.value}`))
}

export function encodeNameConstraints(permitted: PermittedNames): Buffer {
  const trees = (tag: number, bases: readonly Buffer[]) =>
    bases.length === 0
      ? []
      : [
          encodeDer(
            tag,
            bases.map((base) => encodeDer(DER.sequence, [base])),
          ),
        ]
  // Threat: if no name of a kind is permitted, clients accept all names of that kind. So that kind is excluded.
  const missing = (['dns', 'ip'] as const).filter((kind) => permitted.every(({ type }) => type !== kind))
  return encodeDer(DER.sequence, [
    ...trees(PERMITTED, permitted.map(encodeBase)),
    ...trees(
      EXCLUDED,
      missing.flatMap((kind) => ALL_OF[kind]),
    ),
  ])
}

export function parseNameConstraints(der: Buffer): PermittedNames | undefined {
  const value = extensionValue(der, NAME_CONSTRAINTS)
  if (value === undefined) return undefined
  const permitted = within(value).find(({ tag }) => tag === PERMITTED)
  return within(permitted).flatMap((tree) => within(tree).slice(0, 1).flatMap(decodeBase))
}

const EVERY_IPV4 = Buffer.alloc(8)
const EVERY_IPV6 = Buffer.alloc(32)
const ALL_OF = {
  dns: [encodeDer(DNS_NAME, [])],
  ip: [encodeDer(IP_ADDRESS, [EVERY_IPV4]), encodeDer(IP_ADDRESS, [EVERY_IPV6])],
} as const

function encodeBase({ type, value }: SubjectAltName): Buffer {
  if (type === 'dns') return encodeDer(DNS_NAME, [Buffer.from(value, 'ascii')])
  const address = addressBytes(value)
  return encodeDer(IP_ADDRESS, [address, Buffer.alloc(address.length, 0xff)])
}

// An address is followed by its mask, which is all ones here.
function decodeBase({ tag, content }: DerValue): PermittedNames {
  if (tag === DNS_NAME) return [{ type: 'dns', value: content.toString('ascii') }]
  if (tag !== IP_ADDRESS) return []
  const value = canonicalAddress(addressText(content.subarray(0, content.length / 2)))
  return value === undefined ? [] : [{ type: 'ip', value }]
}

function addressBytes(value: string): Buffer {
  if (!isIPv6(value)) return Buffer.from(value.split('.').map(Number))
  const [before = '', after = ''] = value.split('::')
  const groupsOf = (part: string) => part.split(':').filter((group) => group !== '')
  const [head, tail] = [groupsOf(before), groupsOf(after)]
  const gap = Array<string>(8 - head.length - tail.length).fill('0')
  return Buffer.from([...head, ...gap, ...tail].map((group) => group.padStart(4, '0')).join(''), 'hex')
}

function addressText(bytes: Buffer): string {
  if (bytes.length === 4) return bytes.join('.')
  return (bytes.toString('hex').match(/.{4}/g) ?? []).join(':')
}
