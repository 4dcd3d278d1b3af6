// Certificate: PEM text becomes a bundle that can be served, or an error that says why not.
//
// The pair is tried here and not by the listener: OpenSSL's complaint about a wrong one names neither file nor fix.

import { X509Certificate, createPrivateKey, type KeyObject } from 'node:crypto'

import { InvalidFileError } from '../errors/errors.ts'
import { parseNameConstraints, type PermittedNames } from './name-constraints.ts'
import { canonicalAddress, hasSameNames, type SubjectAltName } from './names.ts'

/** What we serve: the chain as sent, leaf first, and the leaf's key. The pair has been checked. */
export interface CertificateBundle {
  readonly certPem: string
  readonly keyPem: string
  readonly leaf: LeafFacts
}

export interface LeafFacts {
  readonly notBefore: Date
  readonly notAfter: Date
  readonly subjectAltNames: readonly SubjectAltName[]
  /** SHA-256, as `fingerprint256` gives it. */
  readonly fingerprint: string
}

export interface BundleOrigin {
  readonly certFile: string
  readonly keyFile: string
  readonly now: Date
}

/** The root as clients know it. */
export interface Root {
  /** The path of the certificate. */
  readonly file: string
  readonly pem: string
  /** SHA-256, as `fingerprint256` gives it. */
  readonly fingerprint: string
  readonly notAfter: Date
  /** The only names that it may vouch for. Absent: any. */
  readonly permitted?: PermittedNames | undefined
}

/** Throws `InvalidFileError` when the two texts are not a pair, or no client would accept the certificate now. */
export function parseBundle(certPem: string, keyPem: string, origin: BundleOrigin): CertificateBundle {
  const { certFile, keyFile, now } = origin
  const certificate = parseCertificate(certPem, certFile)
  const key = parsePrivateKey(keyPem, keyFile)
  if (!certificate.checkPrivateKey(key)) {
    throw new InvalidFileError(
      keyFile,
      `does not belong to the first certificate in ${certFile}: put the leaf first, or give the key it was issued for`,
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
      'carries no subject alternative names, and clients look nowhere else: have it issued with the names they use',
    )
  }
  return { certPem, keyPem, leaf }
}

export interface RootTexts {
  readonly certPem: string
  /** Checked if given. */
  readonly keyPem?: string | undefined
  /** The fingerprint of the root that was issued here; checked if given. */
  readonly marker?: string | undefined
}

export interface RootOrigin {
  readonly rootCert: string
  readonly rootKey: string
  readonly marker: string
}

// Beginning again is a person's decision: it is work on every client.
export const BEGIN_AGAIN =
  'empty this folder, start again, and have every client trust the new root (`registry-sidecar trust` says how)'

const PUT_BACK = `put it back from a backup, or ${BEGIN_AGAIN}`

/** Throws `InvalidFileError` when the texts do not belong together. Does not look at the clock. */
export function parseRoot({ certPem, keyPem, marker }: RootTexts, files: RootOrigin): Root {
  const certificate = parseCertificate(certPem, files.rootCert, PUT_BACK)
  const fingerprint = fingerprint256(certificate)
  if (
    keyPem !== undefined &&
    !certificate.checkPrivateKey(parsePrivateKey(keyPem, files.rootKey, PUT_BACK))
  ) {
    throw new InvalidFileError(
      files.rootKey,
      `does not belong to ${files.rootCert}: put the two back that belong together, or ${BEGIN_AGAIN}`,
    )
  }
  if (marker !== undefined && marker.trim().toUpperCase() !== fingerprint) {
    throw new InvalidFileError(
      files.marker,
      `names another root (${marker.trim()}) than lies in ${files.rootCert} (${fingerprint}): put the earlier root.crt and ` +
        'root.key back, which clients trust, or remove this file if the new root is meant',
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

/** Whether the root's key signed the bundle's leaf, and clients take the root for an authority. */
export function isIssuedBy({ certPem }: CertificateBundle, { pem }: Root): boolean {
  const [leaf, root] = [new X509Certificate(certPem), new X509Certificate(pem)]
  return root.ca && hasIssued(root, leaf)
}

/** Whether the one is the issuer that the other names, and signed it. */
export function hasIssued(issuer: X509Certificate, certificate: X509Certificate): boolean {
  return certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey)
}

/** Whether it is time for another leaf: past two thirds of its life, or other names are wanted. */
export function isDue({ leaf }: CertificateBundle, root: Root, wanted: WantedLeaf): boolean {
  if (!hasSameNames(leaf.subjectAltNames, wanted.names)) return true
  const start = renewalStart(leaf, root)
  return start !== undefined && wanted.now >= start
}

/** When another leaf takes the place of this one. Undefined for one that ends with its root: no other would last longer. */
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
  'it must be PEM (-----BEGIN CERTIFICATE-----); `openssl x509 -inform der -in FILE` makes that of DER'
const PEM_KEY =
  'it must be PEM, and say PRIVATE KEY in its first line; `openssl pkey -inform der -in FILE` makes that of DER'

/** The first certificate of the text. Throws `InvalidFileError`. */
export function parseCertificate(pem: string, file: string, hint = PEM_CERTIFICATE): X509Certificate {
  try {
    return new X509Certificate(pem)
  } catch (cause) {
    throw new InvalidFileError(file, `holds no readable certificate: ${hint}`, { cause })
  }
}

/** Throws `InvalidFileError`, also for a key that wants a passphrase. */
export function parsePrivateKey(pem: string, file: string, hint = PEM_KEY): KeyObject {
  if (/^(-----BEGIN ENCRYPTED|Proc-Type: 4,ENCRYPTED)/m.test(pem)) {
    throw new InvalidFileError(
      file,
      'wants a passphrase, which nobody can type here: store the key unencrypted, readable by the sidecar only',
    )
  }
  try {
    return createPrivateKey(pem)
  } catch (cause) {
    throw new InvalidFileError(file, `holds no readable private key: ${hint}`, { cause })
  }
}

/** The SHA-256 fingerprint as `openssl x509 -fingerprint -sha256` prints it: `3F:9A:…`, 32 bytes. */
export function fingerprint256(certificate: X509Certificate): string {
  return certificate.fingerprint256
}

/** The facts of the first certificate in the text, also of one that has expired. Throws `InvalidFileError`. */
export function parseLeaf(certPem: string, file: string): LeafFacts {
  return leafFacts(parseCertificate(certPem, file))
}

/** The same, of one that has been read. */
export function leafFacts(certificate: X509Certificate): LeafFacts {
  return {
    notBefore: new Date(certificate.validFrom),
    notAfter: new Date(certificate.validTo),
    subjectAltNames: parseSubjectAltNames(certificate.subjectAltName ?? ''),
    fingerprint: fingerprint256(certificate),
  }
}

// Node writes `DNS:a.example, IP Address:0:0:0:0:0:0:0:1` and quotes a value as JSON when it holds a comma or a quote.
// Such values are skipped whole: cut at the comma, the rest of one could pose as a name of its own.
function parseSubjectAltNames(text: string): readonly SubjectAltName[] {
  const parts = text.matchAll(/([^:,]+):("(?:[^"\\]|\\.)*"|[^,]*)(?:, |$)/g)
  return [...parts].flatMap(([, kind, value = '']): SubjectAltName[] => {
    if (kind === 'DNS' && !value.startsWith('"')) return [{ type: 'dns', value: value.toLowerCase() }]
    const address = kind === 'IP Address' ? canonicalAddress(value) : undefined
    return address === undefined ? [] : [{ type: 'ip', value: address }]
  })
}
