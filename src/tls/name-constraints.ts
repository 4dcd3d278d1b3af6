// Name constraints: which names a root may vouch for, as RFC 5280 §4.2.1.10 writes it into its certificate.
//
// Encoded and read by hand: node-forge does not know the extension, and Node tells nothing of it. Read is only what
// OpenSSL has accepted as a certificate before, and only roots out of our own folder.

import { isIPv6 } from 'node:net'

import { DER, readDer, within, type DerValue } from './der.ts'
import { canonicalAddress, type SubjectAltName } from './names.ts'

export const NAME_CONSTRAINTS_OID = '2.5.29.30'

/** What a root may vouch for. DNS names stand for themselves and everything below them, addresses for themselves. */
export type PermittedNames = readonly SubjectAltName[]

const { sequence: SEQUENCE, octetString: OCTET_STRING, oid: OID } = DER
const PERMITTED = 0xa0
const EXCLUDED = 0xa1
const EXTENSIONS = 0xa3
const DNS_NAME = 0x82
const IP_ADDRESS = 0x87

/** What a root must be permitted to vouch for, so that a leaf can carry these names: `*.a.example` needs `a.example`. */
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

/** Those of the names that a leaf under this root must not carry, since clients would refuse it. */
export function notPermitted(
  names: readonly SubjectAltName[],
  permitted: PermittedNames | undefined,
): readonly SubjectAltName[] {
  if (permitted === undefined) return []
  return names.filter((name) => !permitted.some((base) => isBelow(name, base)))
}

function isBelow({ type, value }: SubjectAltName, base: SubjectAltName): boolean {
  if (type !== base.type) return false
  return value === base.value || (type === 'dns' && value.endsWith(`.${base.value}`))
}

/** The extension's value: these names, and no others of either kind. */
export function encodeNameConstraints(permitted: PermittedNames): Buffer {
  const trees = (tag: number, bases: readonly Buffer[]) =>
    bases.length === 0
      ? []
      : [
          encode(
            tag,
            bases.map((base) => encode(SEQUENCE, [base])),
          ),
        ]
  // A kind without a permitted name would be free for all; a kind with one is closed already.
  const missing = (['dns', 'ip'] as const).filter((kind) => permitted.every(({ type }) => type !== kind))
  return encode(SEQUENCE, [
    ...trees(PERMITTED, permitted.map(encodeBase)),
    ...trees(
      EXCLUDED,
      missing.flatMap((kind) => ALL_OF[kind]),
    ),
  ])
}

/** What the certificate permits, or undefined when it carries no such constraints. */
export function parseNameConstraints(der: Buffer): PermittedNames | undefined {
  const [toBeSigned] = within(readDer(der)[0])
  const list = within(toBeSigned).find(({ tag }) => tag === EXTENSIONS)
  const extension = within(within(list)[0]).find((one) => isNameConstraints(within(one)[0]))
  const value = within(extension).find(({ tag }) => tag === OCTET_STRING)
  if (value === undefined) return undefined
  const permitted = within(within(value)[0]).find(({ tag }) => tag === PERMITTED)
  return within(permitted).flatMap((tree) => within(tree).slice(0, 1).flatMap(decodeBase))
}

const EVERY_IPV4 = Buffer.alloc(8)
const EVERY_IPV6 = Buffer.alloc(32)
const ALL_OF = {
  dns: [encode(DNS_NAME, [])],
  ip: [encode(IP_ADDRESS, [EVERY_IPV4]), encode(IP_ADDRESS, [EVERY_IPV6])],
} as const

function encodeBase({ type, value }: SubjectAltName): Buffer {
  if (type === 'dns') return encode(DNS_NAME, [Buffer.from(value, 'ascii')])
  const address = addressBytes(value)
  return encode(IP_ADDRESS, [address, Buffer.alloc(address.length, 0xff)])
}

// An address and a mask of the same length; ours are all ones.
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

function isNameConstraints(node: DerValue | undefined): boolean {
  return node?.tag === OID && node.content.equals(NAME_CONSTRAINTS)
}

// 2.5.29.30, as DER writes it.
const NAME_CONSTRAINTS = Buffer.from([0x55, 0x1d, 0x1e])

function encode(tag: number, parts: readonly Buffer[]): Buffer {
  const content = Buffer.concat(parts)
  if (content.length < 0x80) return Buffer.concat([Buffer.from([tag, content.length]), content])
  const length = Buffer.alloc(3, 0x82)
  length.writeUInt16BE(content.length, 1)
  // The shortest form alone is DER.
  const shortest = content.length < 0x100 ? Buffer.from([0x81, content.length]) : length
  return Buffer.concat([Buffer.from([tag]), shortest, content])
}
