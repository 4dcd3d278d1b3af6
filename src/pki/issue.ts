// Issues roots, leaves and cross certificates.
//
// This file decides the content of certificates; signed-certificate.ts encodes it. Names come from `parseHostName`.

import { X509Certificate, createHash, generateKeyPairSync, randomBytes } from 'node:crypto'

import { encodeNameConstraints, NAME_CONSTRAINTS_OID, permittedNames } from './name-constraints.ts'
import type { SubjectAltName } from './names.ts'
import {
  authorityKeyIdentifier,
  criticalExtension,
  distinguishedName,
  signCertificate,
  subjectKeyIdentifier,
  subjectOf,
} from './signed-certificate.ts'

// A new root needs work on every client, so a root should be valid longer than its machine lasts.
export const ROOT_VALIDITY_DAYS = 3650

// Apple refuses leaves valid for more than 825 days (support.apple.com/HT210176).
// A short validity limits how long a stolen key is useful.
export const LEAF_VALIDITY_DAYS = 90

// Clients whose clock is behind must accept a new certificate.
const BACKDATE_MS = 3_600_000
const DAY_MS = 86_400_000

/** Both are PEM; the key is PKCS#8. */
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
  /** The only names that leaves may contain. Absent: all names. */
  readonly constrainTo?: readonly SubjectAltName[] | undefined
}

export function issueRoot({ now, constrainTo }: RootRequest): IssuedCertificate {
  const { publicKey, privateKey } = newKeyPair()
  // The name is partly random, because trust stores look up issuers by name and confuse roots with the same name.
  const name = distinguishedName(`registry-sidecar root ${randomBytes(4).toString('hex')}`)
  const certPem = signCertificate(privateKey, {
    issuer: name,
    subject: name,
    publicKey,
    ...validity(now, ROOT_VALIDITY_DAYS),
    extensions: [
      // No path length, because it would forbid this root to sign the next root.
      { name: 'basicConstraints', critical: true, cA: true },
      { name: 'keyUsage', critical: true, keyCertSign: true, cRLSign: true },
      subjectKeyIdentifier(keyIdentifier(publicKey)),
      ...(constrainTo === undefined ? [] : [nameConstraints(constrainTo)]),
    ],
  })
  return { certPem, keyPem: privateKey }
}

export function issueLeaf({ root, names, now }: LeafRequest): IssuedCertificate {
  const { publicKey, privateKey } = newKeyPair()
  const rootCertificate = new X509Certificate(root.certPem)
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
      subjectKeyIdentifier(keyIdentifier(publicKey)),
      authorityKeyIdentifier(keyIdentifier(spkiOf(rootCertificate))),
    ],
  })
  return { certPem, keyPem: privateKey }
}

export interface CrossRequest {
  /** The later root. */
  readonly certPem: string
  /** The root that clients trust already. */
  readonly signer: IssuedCertificate
}

/** Clients that trust only the earlier root then accept leaves of the later root. */
export function crossSign({ certPem, signer }: CrossRequest): string {
  const [later, earlier] = [new X509Certificate(certPem), new X509Certificate(signer.certPem)]
  const [laterEnd, earlierEnd] = [new Date(later.validTo), new Date(earlier.validTo)]
  return signCertificate(signer.keyPem, {
    issuer: subjectOf(earlier),
    subject: subjectOf(later),
    publicKey: spkiOf(later),
    notBefore: new Date(later.validFrom),
    notAfter: laterEnd < earlierEnd ? laterEnd : earlierEnd,
    extensionsOf: later,
    extensions: [authorityKeyIdentifier(keyIdentifier(spkiOf(earlier)))],
  })
}

function newKeyPair(): { readonly publicKey: Buffer; readonly privateKey: string } {
  return generateKeyPairSync('ec', {
    namedCurve: 'P-256',
    publicKeyEncoding: { format: 'der', type: 'spki' },
    privateKeyEncoding: { format: 'pem', type: 'pkcs8' },
  })
}

// Critical, because a client that ignores them would trust this root for every name.
function nameConstraints(names: readonly SubjectAltName[]): object {
  return criticalExtension(NAME_CONSTRAINTS_OID, encodeNameConstraints(permittedNames(names)))
}

function spkiOf({ publicKey }: X509Certificate): Buffer {
  return publicKey.export({ format: 'der', type: 'spki' })
}

/** RFC 5280 §4.2.1.2, method 1: SHA-1 of the key's bits, which for P-256 are the last 65 bytes of its SPKI. */
function keyIdentifier(spki: Buffer): Buffer {
  return createHash('sha1').update(spki.subarray(-65)).digest()
}

function validity(now: Date, days: number): { readonly notBefore: Date; readonly notAfter: Date } {
  const start = now.getTime() - BACKDATE_MS
  return { notBefore: new Date(start), notAfter: new Date(start + days * DAY_MS) }
}
