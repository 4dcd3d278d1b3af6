// Issue: a root of our own, and leaves under it.
//
// The only file that imports node-forge, which describes certificates and does nothing else here: it knows no
// elliptic curves, and its advisories are about parsing and verifying. Keys, signatures and random numbers come
// from node:crypto, which has also written or accepted all that is taken apart here. Names come from `parseHostName`.

import { X509Certificate, createHash, generateKeyPairSync, randomBytes, sign } from 'node:crypto'
import forge from 'node-forge'

import { encodeNameConstraints, NAME_CONSTRAINTS_OID, permittedNames } from './name-constraints.ts'
import type { SubjectAltName } from './names.ts'

const { asn1, pki } = forge
type Asn1 = forge.asn1.Asn1

declare module 'node-forge' {
  // Exists, and is missing from @types/node-forge.
  // eslint-disable-next-line @typescript-eslint/no-namespace
  namespace pki {
    function certificateExtensionsToAsn1(extensions: readonly object[]): asn1.Asn1
  }
}

// Trusting the root is work on every client, so it should outlast the machine it was issued on.
export const ROOT_VALIDITY_DAYS = 3650

// Apple refuses leaves valid for more than 825 days (support.apple.com/HT210176); a leaf that renews itself has no
// reason to come near that, and a short one is a small loss when its key leaks.
export const LEAF_VALIDITY_DAYS = 90

// Clients whose clock is a little behind must not take a fresh certificate for one of the future.
const BACKDATE_MS = 3_600_000
const DAY_MS = 86_400_000
const ECDSA_WITH_SHA256 = '1.2.840.10045.4.3.2'

/** A certificate with its private key (PKCS#8), both as PEM. */
export interface IssuedCertificate {
  readonly certPem: string
  readonly keyPem: string
}

export interface LeafRequest {
  readonly root: IssuedCertificate
  readonly names: readonly SubjectAltName[]
  readonly now: Date
}

export interface RootRequest {
  readonly now: Date
  /** The root vouches for these names alone. Absent: for all. */
  readonly constrainTo?: readonly SubjectAltName[] | undefined
}

/** A self-signed root that may sign leaves and no further authorities, valid for `ROOT_VALIDITY_DAYS`. */
export function issueRoot({ now, constrainTo }: RootRequest): IssuedCertificate {
  const { publicKey, privateKey } = newKeyPair()
  // Part of the name is random: trust stores look issuers up by name, and two roots of one name confuse them.
  const name = distinguishedName(`registry-sidecar root ${randomBytes(4).toString('hex')}`)
  const certPem = signCertificate(privateKey, {
    issuer: name,
    subject: name,
    publicKey,
    ...validity(now, ROOT_VALIDITY_DAYS),
    extensions: [
      { name: 'basicConstraints', critical: true, cA: true, pathLenConstraint: 0 },
      { name: 'keyUsage', critical: true, keyCertSign: true, cRLSign: true },
      subjectKeyIdentifier(publicKey),
      ...(constrainTo === undefined ? [] : [nameConstraints(constrainTo)]),
    ],
  })
  return { certPem, keyPem: privateKey }
}

/** A server certificate for these names, valid for `LEAF_VALIDITY_DAYS` or until the root ends, if that is sooner. */
export function issueLeaf({ root, names, now }: LeafRequest): IssuedCertificate {
  const { publicKey, privateKey } = newKeyPair()
  const rootCertificate = new X509Certificate(root.certPem)
  const rootSpki = rootCertificate.publicKey.export({ format: 'der', type: 'spki' })
  const { notBefore, notAfter } = validity(now, LEAF_VALIDITY_DAYS)
  const altNames = names.map((name) =>
    name.type === 'ip' ? { type: 7, ip: name.value } : { ...name, type: 2 },
  )
  const rootEnd = new Date(rootCertificate.validTo)
  const certPem = signCertificate(root.keyPem, {
    issuer: subjectOf(rootCertificate),
    subject: distinguishedName('registry-sidecar'),
    publicKey,
    notBefore,
    notAfter: notAfter < rootEnd ? notAfter : rootEnd,
    extensions: [
      { name: 'basicConstraints', critical: true },
      { name: 'keyUsage', critical: true, digitalSignature: true },
      { name: 'extKeyUsage', serverAuth: true },
      { name: 'subjectAltName', altNames },
      subjectKeyIdentifier(publicKey),
      { name: 'authorityKeyIdentifier', keyIdentifier: toBytes(keyIdentifier(rootSpki)) },
    ],
  })
  return { certPem, keyPem: privateKey }
}

function newKeyPair(): { readonly publicKey: Buffer; readonly privateKey: string } {
  return generateKeyPairSync('ec', {
    namedCurve: 'P-256',
    publicKeyEncoding: { format: 'der', type: 'spki' },
    privateKeyEncoding: { format: 'pem', type: 'pkcs8' },
  })
}

interface Description {
  readonly issuer: Asn1
  readonly subject: Asn1
  readonly publicKey: Buffer
  readonly notBefore: Date
  readonly notAfter: Date
  readonly extensions: readonly object[]
}

/** RFC 5280 §4.1, version 3, signed with ECDSA and SHA-256. */
function signCertificate(signingKeyPem: string, description: Description): string {
  // Its parameters are absent, not null: RFC 5758 §3.2.
  const algorithm = sequence(primitive(asn1.Type.OID, asn1.oidToDer(ECDSA_WITH_SHA256).getBytes()))
  const toBeSigned = sequence(
    asn1.create(asn1.Class.CONTEXT_SPECIFIC, asn1.Type.NONE, true, [primitive(asn1.Type.INTEGER, '\x02')]),
    primitive(asn1.Type.INTEGER, toBytes(randomSerial())),
    algorithm,
    description.issuer,
    sequence(time(description.notBefore), time(description.notAfter)),
    description.subject,
    fromDer(description.publicKey),
    encodeExtensions(description.extensions),
  )
  const signature = sign('sha256', toDer(toBeSigned), signingKeyPem)
  const bits = primitive(asn1.Type.BITSTRING, `\x00${toBytes(signature)}`)
  return new X509Certificate(toDer(sequence(toBeSigned, algorithm, bits))).toString()
}

function encodeExtensions(extensions: readonly object[]): Asn1 {
  // A detour: setting extensions on a certificate is what turns their descriptions into values.
  const certificate = pki.createCertificate()
  certificate.setExtensions([...extensions])
  return pki.certificateExtensionsToAsn1(certificate.extensions)
}

// Critical: a client that cannot obey them must not trust this root for everything instead.
function nameConstraints(names: readonly SubjectAltName[]): object {
  const value = toBytes(encodeNameConstraints(permittedNames(names)))
  return { id: NAME_CONSTRAINTS_OID, critical: true, value }
}

function subjectKeyIdentifier(spki: Buffer): object {
  const value = primitive(asn1.Type.OCTETSTRING, toBytes(keyIdentifier(spki)))
  return { id: pki.oids['subjectKeyIdentifier'], value }
}

/** RFC 5280 §4.2.1.2, method 1: SHA-1 over the key's bits, which for P-256 are the last 65 bytes of its SPKI. */
function keyIdentifier(spki: Buffer): Buffer {
  return createHash('sha1').update(spki.subarray(-65)).digest()
}

// Copied as bytes rather than written anew: clients compare a leaf's issuer with the root's subject byte by byte,
// also when an earlier version of this program wrote that root.
function subjectOf(certificate: X509Certificate): Asn1 {
  const subject = children(children(fromDer(certificate.raw))[0])[5]
  if (subject === undefined) throw new Error('The root certificate has no subject.')
  return subject
}

function distinguishedName(commonName: string): Asn1 {
  return pki.distinguishedNameToAsn1({ attributes: [{ type: pki.oids['commonName'], value: commonName }] })
}

function validity(now: Date, days: number): { readonly notBefore: Date; readonly notAfter: Date } {
  const start = now.getTime() - BACKDATE_MS
  return { notBefore: new Date(start), notAfter: new Date(start + days * DAY_MS) }
}

/** 128 bits, the first two fixed: positive, and never with the leading zeros that DER forbids. */
function randomSerial(): Buffer {
  const serial = randomBytes(16)
  serial.writeUInt8((serial.readUInt8(0) & 0x3f) | 0x40, 0)
  return serial
}

/** RFC 5280 §4.1.2.5: two-digit years through 2049, four digits from 2050. */
function time(date: Date): Asn1 {
  return date.getUTCFullYear() < 2050
    ? primitive(asn1.Type.UTCTIME, asn1.dateToUtcTime(date))
    : primitive(asn1.Type.GENERALIZEDTIME, asn1.dateToGeneralizedTime(date))
}

function sequence(...values: Asn1[]): Asn1 {
  return asn1.create(asn1.Class.UNIVERSAL, asn1.Type.SEQUENCE, true, values)
}

function primitive(type: forge.asn1.Type, bytes: string): Asn1 {
  return asn1.create(asn1.Class.UNIVERSAL, type, false, bytes)
}

function children(node: Asn1 | undefined): readonly Asn1[] {
  return Array.isArray(node?.value) ? node.value : []
}

function fromDer(der: Buffer): Asn1 {
  return asn1.fromDer(toBytes(der))
}

function toDer(node: Asn1): Buffer {
  return Buffer.from(asn1.toDer(node).getBytes(), 'binary')
}

function toBytes(buffer: Buffer): string {
  return buffer.toString('binary')
}
