// Issue: a root of our own, leaves under it, and what leads from an earlier root to it.
//
// What a certificate says is decided here, signed-certificate.ts writes it. Names come from `parseHostName`.

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

// Trusting the root is work on every client, so it should outlast the machine it was issued on.
export const ROOT_VALIDITY_DAYS = 3650

// Apple refuses leaves valid for more than 825 days (support.apple.com/HT210176); a leaf that renews itself has no
// reason to come near that, and a short one is a small loss when its key leaks.
export const LEAF_VALIDITY_DAYS = 90

// Clients whose clock is a little behind must not take a fresh certificate for one of the future.
const BACKDATE_MS = 3_600_000
const DAY_MS = 86_400_000

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

/** A self-signed root, valid for `ROOT_VALIDITY_DAYS`. */
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
      // Without a path length: it would forbid to sign the next root, and whoever has the key can sign leaves anyway.
      { name: 'basicConstraints', critical: true, cA: true },
      { name: 'keyUsage', critical: true, keyCertSign: true, cRLSign: true },
      subjectKeyIdentifier(keyIdentifier(publicKey)),
      ...(constrainTo === undefined ? [] : [nameConstraints(constrainTo)]),
    ],
  })
  return { certPem, keyPem: privateKey }
}

/** A server certificate for these names, valid for `LEAF_VALIDITY_DAYS` or until the root ends, if that is sooner. */
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
  /** The later root. Its key is not needed. */
  readonly certPem: string
  /** The root that clients trust already. */
  readonly signer: IssuedCertificate
}

/**
 * The later root once more, signed by an earlier one, so that clients which trust that one accept what the later one
 * signs: same name, key and extensions (also its name constraints), until the first of the two ends. PEM.
 */
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

// Critical: a client that cannot obey them must not trust this root for everything instead.
function nameConstraints(names: readonly SubjectAltName[]): object {
  return criticalExtension(NAME_CONSTRAINTS_OID, encodeNameConstraints(permittedNames(names)))
}

function spkiOf({ publicKey }: X509Certificate): Buffer {
  return publicKey.export({ format: 'der', type: 'spki' })
}

/** RFC 5280 §4.2.1.2, method 1: SHA-1 over the key's bits, which for P-256 are the last 65 bytes of its SPKI. */
function keyIdentifier(spki: Buffer): Buffer {
  return createHash('sha1').update(spki.subarray(-65)).digest()
}

function validity(now: Date, days: number): { readonly notBefore: Date; readonly notAfter: Date } {
  const start = now.getTime() - BACKDATE_MS
  return { notBefore: new Date(start), notAfter: new Date(start + days * DAY_MS) }
}
