// Parses certificates, private keys and roots from PEM.
//
// This file also checks each pair, because an error of OpenSSL names neither the file nor the fix.

import { X509Certificate, createPrivateKey, type KeyObject } from 'node:crypto'

import { InvalidFileError } from '../errors/errors.ts'
import { parseNameConstraints, type PermittedNames } from './name-constraints.ts'
import { canonicalAddress, hasSameNames, type SubjectAltName } from './names.ts'

/** `certPem` is the chain that clients get, leaf first. `keyPem` belongs to the leaf. */
export interface CertificateBundle {
  readonly certPem: string
  readonly keyPem: string
  readonly leaf: LeafFacts
}

export interface LeafFacts {
  readonly notBefore: Date
  readonly notAfter: Date
  readonly subjectAltNames: readonly SubjectAltName[]
  readonly fingerprint: string
}

export interface BundleOrigin {
  readonly certFile: string
  readonly keyFile: string
  readonly now: Date
}

export interface Root {
  readonly file: string
  readonly pem: string
  readonly fingerprint: string
  readonly notAfter: Date
  /** The only names that its leaves may contain. Absent: all names. */
  readonly permitted?: PermittedNames | undefined
}

/** Throws `InvalidFileError` when the texts are not a pair, or clients would reject the certificate now. */
export function parseBundle(certPem: string, keyPem: string, origin: BundleOrigin): CertificateBundle {
  const { certFile, keyFile, now } = origin
  const certificate = parseCertificate(certPem, certFile)
  const key = parsePrivateKey(keyPem, keyFile)
  if (!certificate.checkPrivateKey(key)) {
    throw new InvalidFileError(
      keyFile,
      `does not belong to the first certificate in ${certFile}: put the leaf first, or use the key of the leaf`,
    )
  }
  const leaf = leafFacts(certificate)
  if (leaf.notAfter <= now) {
    throw new InvalidFileError(
      certFile,
      `expired on ${leaf.notAfter.toISOString()}: replace it with a renewed one`,
    )
  }
  if (leaf.subjectAltNames.length === 0) {
    throw new InvalidFileError(
      certFile,
      'has no subject alternative names, so clients reject it: request a certificate with the names that clients use',
    )
  }
  return { certPem, keyPem, leaf }
}

export interface RootTexts {
  readonly certPem: string
  readonly keyPem?: string | undefined
  /** The text of root.sha256: the fingerprint of the root that the sidecar issued. */
  readonly marker?: string | undefined
}

export interface RootFiles {
  readonly rootCert: string
  readonly rootKey: string
  readonly marker: string
}

// Only a person may decide this, because every client must then trust another root.
export const START_OVER =
  'empty this folder, start again, and make every client trust the new root (`registry-sidecar trust` shows how)'

const RESTORE = `restore it from a backup, or ${START_OVER}`

/** Throws `InvalidFileError` if the texts do not match. Accepts an expired root. */
export function parseRoot({ certPem, keyPem, marker }: RootTexts, files: RootFiles): Root {
  const certificate = parseCertificate(certPem, files.rootCert, RESTORE)
  const fingerprint = fingerprint256(certificate)
  if (keyPem !== undefined && !certificate.checkPrivateKey(parsePrivateKey(keyPem, files.rootKey, RESTORE))) {
    throw new InvalidFileError(
      files.rootKey,
      `does not belong to ${files.rootCert}: restore a matching certificate and key, or ${START_OVER}`,
    )
  }
  if (marker !== undefined && marker.trim().toUpperCase() !== fingerprint) {
    throw new InvalidFileError(
      files.marker,
      `names another root (${marker.trim()}) than ${files.rootCert} holds (${fingerprint}): restore the earlier root.crt and ` +
        'root.key, which clients trust, or remove this file to use the new root',
    )
  }
  return {
    file: files.rootCert,
    pem: certificate.toString(),
    fingerprint,
    notAfter: new Date(certificate.validTo),
    permitted: parseNameConstraints(certificate.raw),
  }
}

export function isIssuedBy({ certPem }: CertificateBundle, { pem }: Root): boolean {
  const [leaf, root] = [new X509Certificate(certPem), new X509Certificate(pem)]
  return root.ca && hasIssued(root, leaf)
}

export function hasIssued(issuer: X509Certificate, certificate: X509Certificate): boolean {
  return certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey)
}

export function isRenewalDue({ leaf }: CertificateBundle, root: Root, wanted: WantedLeaf): boolean {
  if (!hasSameNames(leaf.subjectAltNames, wanted.names)) return true
  const start = renewalStart(leaf, root)
  return start !== undefined && wanted.now >= start
}

/** Undefined for a leaf that expires with its root, because a new leaf would expire at the same time. */
export function renewalStart({ notBefore, notAfter }: LeafFacts, root: Root): Date | undefined {
  if (notAfter >= root.notAfter) return undefined
  const lifeMs = notAfter.getTime() - notBefore.getTime()
  return new Date(notBefore.getTime() + (lifeMs * 2) / 3)
}

export interface WantedLeaf {
  readonly names: readonly SubjectAltName[]
  readonly now: Date
}

const PEM_CERTIFICATE =
  'it must be PEM (-----BEGIN CERTIFICATE-----); `openssl x509 -inform der -in FILE` converts DER'
const PEM_KEY =
  'it must be PEM, with PRIVATE KEY in its first line; `openssl pkey -inform der -in FILE` converts DER'

/** The first certificate of the text. Throws `InvalidFileError`. */
export function parseCertificate(pem: string, file: string, hint = PEM_CERTIFICATE): X509Certificate {
  try {
    return new X509Certificate(pem)
  } catch (cause) {
    throw new InvalidFileError(file, `holds no readable certificate: ${hint}`, { cause })
  }
}

/** Throws `InvalidFileError`, also for an encrypted key. */
export function parsePrivateKey(pem: string, file: string, hint = PEM_KEY): KeyObject {
  if (isEncryptedKey(pem)) {
    throw new InvalidFileError(file, 'is encrypted: store the key unencrypted, readable only by the sidecar')
  }
  try {
    return createPrivateKey(pem)
  } catch (cause) {
    throw new InvalidFileError(file, `holds no readable private key: ${hint}`, { cause })
  }
}

export function isEncryptedKey(pem: string): boolean {
  return /^(-----BEGIN ENCRYPTED|Proc-Type: 4,ENCRYPTED)/m.test(pem)
}

/** As `openssl x509 -fingerprint -sha256` prints it: `3F:9A:…`, 32 bytes. */
export function fingerprint256(certificate: X509Certificate): string {
  return certificate.fingerprint256
}

/** Accepts an expired leaf. Throws `InvalidFileError`. */
export function parseLeaf(certPem: string, file: string): LeafFacts {
  return leafFacts(parseCertificate(certPem, file))
}

export function leafFacts(certificate: X509Certificate): LeafFacts {
  return {
    notBefore: new Date(certificate.validFrom),
    notAfter: new Date(certificate.validTo),
    subjectAltNames: parseSubjectAltNames(certificate.subjectAltName ?? ''),
    fingerprint: fingerprint256(certificate),
  }
}

// Node writes `DNS:a.example, IP Address:0:0:0:0:0:0:0:1`, and quotes a value that holds a comma or a quote.
// Threat: a quoted value with a comma could look like two names. So this function skips quoted values.
function parseSubjectAltNames(text: string): readonly SubjectAltName[] {
  const parts = text.matchAll(/([^:,]+):("(?:[^"\\]|\\.)*"|[^,]*)(?:, |$)/g)
  return [...parts].flatMap(([, kind, value = '']): SubjectAltName[] => {
    if (kind === 'DNS' && !value.startsWith('"')) return [{ type: 'dns', value: value.toLowerCase() }]
    const address = kind === 'IP Address' ? canonicalAddress(value) : undefined
    return address === undefined ? [] : [{ type: 'ip', value: address }]
  })
}
