// Cross certificates: how clients that trust an earlier root alone come to the present one.
//
// Each renewal of the root leaves one behind: the name and key of the later root, signed by the earlier one. They are
// served behind the leaf. cross.crt keeps them, newest first, each followed by the root that signed it, which tells who
// is served that way, and for which names. Every link is verified here: a broken chain would be found out by clients.

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

/** A root from before a renewal, which clients may still trust alone. */
export interface EarlierRoot {
  /** SHA-256, as `fingerprint256` gives it. */
  readonly fingerprint: string
  /** From then on clients that trust it alone are lost: its cross certificate ends. */
  readonly notAfter: Date
  /** The only names that it may vouch for. Absent: any. */
  readonly permitted: PermittedNames | undefined
  readonly pem: string
  /** The root that came after it, as it signed it. */
  readonly crossPem: string
}

/** Who vouches for leaves. */
export interface Authority {
  readonly root: Root
  /** Those that lead to the root now, newest first. */
  readonly earlier: readonly EarlierRoot[]
}

// A person's decision, for it is work on clients.
export const GIVE_UP_EARLIER =
  'once every client trusts the present root, remove cross.crt and leaf.crt: clients that trust only an earlier one are lost then'

export interface EarlierOrigin {
  readonly root: Root
  readonly file: string
  readonly now: Date
  /** What to do when the text is no good. Absent: what helps with cross.crt. */
  readonly hint?: string
}

const PUT_BACK = `put the one back that belongs to it, or, ${GIVE_UP_EARLIER}`

/** The earlier roots that lead to `root` at that time. Throws `InvalidFileError` when the text does not belong to it. */
export function parseEarlier(
  text: string | undefined,
  { root, file, now, hint = PUT_BACK }: EarlierOrigin,
): readonly EarlierRoot[] {
  if (text === undefined) return []
  const links = linksIn(certificatesIn(text).map((pem) => parseCertificate(pem, file, hint)))
  const present = new X509Certificate(root.pem)
  const start = links.findIndex(({ cross }) => isForRoot(cross, present))
  // During a renewal, and after a backup from before one was put back, the file is ahead of the root.
  if (start === -1 && links.some(({ signer }) => signer.fingerprint256 === root.fingerprint)) return []
  const chain = links.slice(start)
  const isWhole = chain.every(({ cross, signer }, index) => {
    const later = chain[index - 1]?.signer ?? present
    return isForRoot(cross, later) && hasIssued(signer, cross)
  })
  if (start === -1 || !isWhole) {
    throw new InvalidFileError(file, `does not lead to ${root.file}: ${hint}`)
  }
  const earlier = chain.map(earlierRootOf)
  const end = earlier.findIndex(({ notAfter }) => notAfter <= now)
  // What lies behind one that has ended leads nowhere either.
  return end === -1 ? earlier : earlier.slice(0, end)
}

/** What cross.crt is to hold. */
export function formatEarlier(earlier: readonly EarlierRoot[]): string {
  return earlier.map(({ crossPem, pem }) => crossPem + pem).join('')
}

/**
 * What is served behind the leaf. The root itself only where nothing else leads to it: from a chain that holds it beside
 * its cross certificate, some clients that trust the earlier root take the wrong one.
 */
export function chainBehindLeaf({ root, earlier }: Authority): string {
  return earlier.length === 0 ? root.pem : earlier.map(({ crossPem }) => crossPem).join('')
}

/** Whether clients of every root come from this bundle's leaf to theirs. */
export function hasItsChain({ certPem }: CertificateBundle, authority: Authority): boolean {
  const wanted = certificatesIn(chainBehindLeaf(authority)).map(withoutSpace)
  const present = certificatesIn(certPem).slice(1).map(withoutSpace)
  // Clients that trust the root have it, so a leaf alone is enough for them.
  const isBare = authority.earlier.length === 0 && present.length === 0
  return isBare || (present.length === wanted.length && present.every((pem, index) => pem === wanted[index]))
}

/** Whether anything but leaf and root is served, so that clients may count on an earlier root. */
export function hasCross(leafCert: string | undefined): boolean {
  return certificatesIn(leafCert ?? '')
    .slice(1)
    .some((pem) => !isSelfIssued(pem))
}

/** Whether the text ends in a root. */
export function endsInRoot(leafCert: string | undefined): boolean {
  const last = certificatesIn(leafCert ?? '').at(-1)
  return last !== undefined && isSelfIssued(last)
}

/** The root as far as leaves are concerned: clients of every root must accept their names. */
export function narrowed({ root, earlier }: Authority): Root {
  const permitted = earlier.reduce((all, one) => permittedByBoth(all, one.permitted), root.permitted)
  return { ...root, permitted }
}

interface Link {
  readonly cross: X509Certificate
  readonly signer: X509Certificate
}

function linksIn(certificates: readonly X509Certificate[]): readonly Link[] {
  return certificates.flatMap((cross, index) => {
    // One without its signer is found out: it does not verify under itself.
    return index % 2 === 1 ? [] : [{ cross, signer: certificates[index + 1] ?? cross }]
  })
}

function isForRoot(cross: X509Certificate, root: X509Certificate): boolean {
  return cross.subject === root.subject && cross.publicKey.equals(root.publicKey)
}

function earlierRootOf({ cross, signer }: Link): EarlierRoot {
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

function withoutSpace(text: string): string {
  return text.replace(/\s/g, '')
}
