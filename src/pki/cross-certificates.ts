// Reads and writes cross certificates between earlier roots and the root.
//
// A cross certificate has the name and key of the later root, and the earlier root signed it.
// cross.crt holds them, newest first, each followed by the root that signed it.
// This file verifies every link, because otherwise a broken chain would fail only at the clients.

import { X509Certificate } from 'node:crypto'

import { InvalidFileError } from '../errors/errors.ts'
import {
  fingerprint256,
  hasIssued,
  parseCertificate,
  type CertificateBundle,
  type Root,
} from './certificate.ts'
import { parseNameConstraints, permittedByBoth, type PermittedNames } from './name-constraints.ts'
import { certificatesIn } from './pem.ts'

/** A root from before a renewal. Some clients may trust no other root. */
export interface EarlierRoot {
  readonly fingerprint: string
  /** When its cross certificate expires; clients that trust only this root then reject the leaf. */
  readonly notAfter: Date
  readonly permitted: PermittedNames | undefined
  readonly pem: string
  /** The next root, signed by this root. */
  readonly crossPem: string
}

export interface Authority {
  readonly root: Root
  /** The earlier roots whose cross certificates lead to `root`, newest first. */
  readonly earlier: readonly EarlierRoot[]
}

// Only a person may decide this, because clients that lack the current root stop working.
export const DROP_EARLIER_ROOTS =
  'once every client trusts the current root, remove cross.crt and leaf.crt: clients that trust only an earlier root then reject the leaf'

export interface EarlierOrigin {
  readonly root: Root
  readonly file: string
  readonly now: Date
  readonly hint?: string
}

const RESTORE = `restore the file that belongs to this root, or, ${DROP_EARLIER_ROOTS}`

/** Throws `InvalidFileError` if the text belongs to another root. */
export function parseEarlier(
  text: string | undefined,
  { root, file, now, hint = RESTORE }: EarlierOrigin,
): readonly EarlierRoot[] {
  if (text === undefined) return []
  const links = linksIn(certificatesIn(text).map((pem) => parseCertificate(pem, file, hint)))
  const current = new X509Certificate(root.pem)
  const start = links.findIndex(({ cross }) => isForRoot(cross, current))
  // cross.crt is newer than the root during a renewal, and after the root was restored from a backup.
  if (start === -1 && links.some(({ signer }) => signer.fingerprint256 === root.fingerprint)) return []
  const chain = links.slice(start)
  const isWhole = chain.every(({ cross, signer }, index) => {
    const later = chain[index - 1]?.signer ?? current
    return isForRoot(cross, later) && hasIssued(signer, cross)
  })
  if (start === -1 || !isWhole) {
    throw new InvalidFileError(file, `does not lead to ${root.file}: ${hint}`)
  }
  const earlier = chain.map(earlierRootOf)
  const end = earlier.findIndex(({ notAfter }) => notAfter <= now)
  // Older roots need the expired link too, so they are left out.
  return end === -1 ? earlier : earlier.slice(0, end)
}

export function formatEarlier(earlier: readonly EarlierRoot[]): string {
  return earlier.map(({ crossPem, pem }) => crossPem + pem).join('')
}

/** Never both: some clients of an earlier root would then use the root, which they do not trust. */
export function chainBehindLeaf({ root, earlier }: Authority): string {
  return earlier.length === 0 ? root.pem : earlier.map(({ crossPem }) => crossPem).join('')
}

export function hasExpectedChain({ certPem }: CertificateBundle, authority: Authority): boolean {
  const wanted = certificatesIn(chainBehindLeaf(authority)).map(withoutWhitespace)
  const actual = certificatesIn(certPem).slice(1).map(withoutWhitespace)
  // A leaf alone is enough for clients that have the root.
  const isBareLeaf = authority.earlier.length === 0 && actual.length === 0
  return (
    isBareLeaf || (actual.length === wanted.length && actual.every((pem, index) => pem === wanted[index]))
  )
}

/** If true, some clients may trust only an earlier root. */
export function hasCrossCertificate(leafCert: string | undefined): boolean {
  return certificatesIn(leafCert ?? '')
    .slice(1)
    .some((pem) => !isSelfIssued(pem))
}

export function endsInRoot(leafCert: string | undefined): boolean {
  const last = certificatesIn(leafCert ?? '').at(-1)
  return last !== undefined && isSelfIssued(last)
}

/** Keeps the names that every root permits, because clients of every root must accept the leaf. */
export function withIntersectedConstraints({ root, earlier }: Authority): Root {
  const permitted = earlier.reduce((all, one) => permittedByBoth(all, one.permitted), root.permitted)
  return { ...root, permitted }
}

interface CrossLink {
  readonly cross: X509Certificate
  readonly signer: X509Certificate
}

function linksIn(certificates: readonly X509Certificate[]): readonly CrossLink[] {
  return certificates.flatMap((cross, index) => {
    // A cross certificate without its signer fails verification later, because it did not sign itself.
    return index % 2 === 1 ? [] : [{ cross, signer: certificates[index + 1] ?? cross }]
  })
}

function isForRoot(cross: X509Certificate, root: X509Certificate): boolean {
  return cross.subject === root.subject && cross.publicKey.equals(root.publicKey)
}

function earlierRootOf({ cross, signer }: CrossLink): EarlierRoot {
  return {
    fingerprint: fingerprint256(signer),
    notAfter: new Date(cross.validTo),
    permitted: parseNameConstraints(signer.raw),
    pem: signer.toString(),
    crossPem: cross.toString(),
  }
}

function isSelfIssued(pem: string): boolean {
  try {
    const { subject, issuer } = new X509Certificate(pem)
    return subject === issuer
  } catch {
    return false
  }
}

function withoutWhitespace(text: string): string {
  return text.replace(/\s/g, '')
}
