// Encodes and signs X.509 certificates (RFC 5280 §4.1).
//
// The only file that imports node-forge, whose security advisories concern parsing and verifying.
// So node-forge only encodes. Keys, signatures and random numbers come from node:crypto.
// This file decodes only certificates and keys that node:crypto created or accepted.

import { X509Certificate, randomBytes, sign } from 'node:crypto'
import forge from 'node-forge'

const { asn1, pki } = forge
type Asn1 = forge.asn1.Asn1

declare module 'node-forge' {
  // Missing from @types/node-forge.
  // eslint-disable-next-line @typescript-eslint/no-namespace
  namespace pki {
    function certificateExtensionsToAsn1(extensions: readonly object[]): asn1.Asn1
  }
}

const ECDSA_WITH_SHA256 = '1.2.840.10045.4.3.2'

export type Name = Asn1

export interface CertificateContent {
  readonly issuer: Name
  readonly subject: Name
  /** SPKI, DER. */
  readonly publicKey: Buffer
  readonly notBefore: Date
  readonly notAfter: Date
  /** In node-forge's form. */
  readonly extensions: readonly object[]
  /** A certificate whose extensions are copied as bytes, before the others. */
  readonly extensionsOf?: X509Certificate
}

export function signCertificate(signingKeyPem: string, content: CertificateContent): string {
  // RFC 5758 §3.2: the parameters are absent, not null.
  const algorithm = sequence(primitive(asn1.Type.OID, asn1.oidToDer(ECDSA_WITH_SHA256).getBytes()))
  const toBeSigned = sequence(
    explicit(asn1.Type.NONE, primitive(asn1.Type.INTEGER, '\x02')),
    primitive(asn1.Type.INTEGER, toBytes(randomSerial())),
    algorithm,
    content.issuer,
    sequence(time(content.notBefore), time(content.notAfter)),
    content.subject,
    fromDer(content.publicKey),
    explicit(asn1.Type.BITSTRING, sequence(...copiedExtensions(content), ...newExtensions(content))),
  )
  const signature = sign('sha256', toDer(toBeSigned), signingKeyPem)
  const bits = primitive(asn1.Type.BITSTRING, `\x00${toBytes(signature)}`)
  return new X509Certificate(toDer(sequence(toBeSigned, algorithm, bits))).toString()
}

export function distinguishedName(commonName: string): Name {
  return pki.distinguishedNameToAsn1({ attributes: [{ type: pki.oids['commonName'], value: commonName }] })
}

// Copies the bytes, because clients compare issuer and subject byte by byte.
export function subjectOf(certificate: X509Certificate): Name {
  const subject = fieldsOf(certificate)[5]
  if (subject === undefined) throw new Error('The certificate has no subject.')
  return subject
}

/** RFC 5280 §4.2.1.2. */
export function subjectKeyIdentifier(identifier: Buffer): object {
  const value = primitive(asn1.Type.OCTETSTRING, toBytes(identifier))
  return { id: pki.oids['subjectKeyIdentifier'], value }
}

/** RFC 5280 §4.2.1.1: only the key, because a renewed issuer has another name and serial number. */
export function authorityKeyIdentifier(identifier: Buffer): object {
  return { name: 'authorityKeyIdentifier', keyIdentifier: toBytes(identifier) }
}

export function criticalExtension(oid: string, value: Buffer): object {
  return { id: oid, critical: true, value: toBytes(value) }
}

function newExtensions({ extensions }: CertificateContent): readonly Asn1[] {
  // node-forge encodes extensions only when they are set on a certificate.
  const certificate = pki.createCertificate()
  certificate.setExtensions([...extensions])
  return children(children(pki.certificateExtensionsToAsn1(certificate.extensions))[0])
}

function copiedExtensions({ extensionsOf }: CertificateContent): readonly Asn1[] {
  if (extensionsOf === undefined) return []
  return children(children(fieldsOf(extensionsOf)[7])[0])
}

/** The fields of an issued certificate: version, serial, algorithm, issuer, validity, subject, key, extensions. */
function fieldsOf(certificate: X509Certificate): readonly Asn1[] {
  return children(children(fromDer(certificate.raw))[0])
}

/** 128 bits. The first two bits are fixed, because DER needs a positive number without a leading zero byte. */
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

// The context tag: [0] is the version, [3] the extensions. The types of node-forge allow only an asn1.Type as its number:
// NONE is 0, BITSTRING is 3.
function explicit(number: forge.asn1.Type, value: Asn1): Asn1 {
  return asn1.create(asn1.Class.CONTEXT_SPECIFIC, number, true, [value])
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
