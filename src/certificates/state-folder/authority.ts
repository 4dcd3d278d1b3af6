// Authority: the root of a folder with its key, the roots before it, and the leaves that they vouch for.

import { InvalidFileError } from '../../errors/errors.ts'
import type { FileLock } from '../../files/file-lock.ts'
import {
  START_OVER,
  isIssuedBy,
  parseBundle,
  parseLeaf,
  parseRoot,
  type CertificateBundle,
  type Root,
  type WantedLeaf,
} from '../../pki/certificate.ts'
import {
  chainBehindLeaf,
  endsInRoot,
  DROP_EARLIER_ROOTS,
  hasCrossCertificate,
  withIntersectedConstraints,
  parseEarlier,
  type Authority,
} from '../../pki/cross-certificates.ts'
import { issueLeaf, type IssuedCertificate, type LeafRequest } from '../../pki/issue.ts'
import { notPermitted, type PermittedNames } from '../../pki/name-constraints.ts'
import type { SubjectAltName } from '../../pki/names.ts'
import { expiredRoot, foreignRoot } from './root-refusals.ts'
import { writePair, type StatePaths, type StateTexts } from './state-files.ts'

/** The names that the leaf should carry, which the root may have a say in. */
export type NamesUnder = (root: Root) => readonly SubjectAltName[]

export interface Issuer {
  readonly authority: Authority
  /** The root's. */
  readonly keyPem: string
}

/** The root and its key, if leaves can be issued under it, and the roots before it. Throws `InvalidFileError`. */
export function issuerIn(
  texts: StateTexts,
  { paths, now }: { readonly paths: StatePaths; readonly now: Date },
): Issuer {
  if (texts.rootCert === undefined) throw lost(paths.rootCert, texts)
  if (texts.rootKey === undefined) throw lost(paths.rootKey, texts)
  const root = parseRoot({ certPem: texts.rootCert, keyPem: texts.rootKey, marker: texts.marker }, paths)
  if (root.notAfter <= now) throw expiredRoot(root, now)
  if (texts.crossCert === undefined && hasCrossCertificate(texts.leafCert)) {
    throw new InvalidFileError(
      paths.crossCert,
      `is missing, and clients may trust an earlier root alone: put it back from a backup; or, ${DROP_EARLIER_ROOTS}`,
    )
  }
  const earlier = parseEarlier(texts.crossCert, { root, file: paths.crossCert, now })
  return { authority: { root, earlier }, keyPem: texts.rootKey }
}

/** True for an empty folder, and for one where a first start came no further than the root's key. */
export function knowsNoRoot({ rootCert, marker, leafKey, leafCert, nextRootCert }: StateTexts): boolean {
  return [rootCert, marker, leafKey, leafCert, nextRootCert].every((text) => text === undefined)
}

// A silently new root would break every client, so a person decides.
export function lost(file: string, { leafCert }: StateTexts): InvalidFileError {
  const hasCopy = file.endsWith('.crt') && endsInRoot(leafCert)
  const copy = hasCopy ? ' (leaf.crt holds it too, as its last certificate)' : ''
  return new InvalidFileError(
    file,
    `is missing, and clients may trust this root already: put it back from a backup${copy}, or ${START_OVER}`,
  )
}

export interface IssueRequest extends WantedLeaf {
  readonly issuer: Issuer
}

/** Issues a leaf and puts it into the folder, with what leads to it from every root. Throws `InvalidFileError`. */
export async function issueInto(
  paths: StatePaths,
  { issuer, names, now }: IssueRequest,
  lock: FileLock,
): Promise<CertificateBundle> {
  const files = { certFile: paths.leafCert, keyFile: paths.leafKey }
  const { authority, keyPem } = issuer
  refuseNotPermitted(names, authority, paths)
  const leaf = issueUnder(authority.root, { root: { certPem: authority.root.pem, keyPem }, names, now })
  const bundle = parseBundle(leaf.certPem + chainBehindLeaf(authority), leaf.keyPem, { ...files, now })
  // Written, it would be refused by clients, and issued anew at every look.
  if (!isIssuedBy(bundle, authority.root)) throw foreignRoot(authority.root)
  await writePair(files, bundle, lock)
  return bundle
}

function issueUnder(root: Root, request: LeafRequest): IssuedCertificate {
  try {
    return issueLeaf(request)
  } catch (cause) {
    throw foreignRoot(root, cause)
  }
}

// A leaf that clients refuse is worth less than none, and one that lacks a name which somebody counts on no more.
function refuseNotPermitted(
  names: readonly SubjectAltName[],
  { root, earlier }: Authority,
  paths: StatePaths,
): void {
  const [strangers, permitted] = [notPermitted(names, root.permitted), root.permitted]
  if (strangers.length > 0) {
    throw new InvalidFileError(
      root.file,
      `may vouch for ${list(permitted)} only (SIDECAR_CA_CONSTRAIN), not for ${list(strangers)}: take these out of ` +
        `SIDECAR_HOSTS; or, for a root that may, ${START_OVER}`,
    )
  }
  for (const one of earlier) {
    const others = notPermitted(names, one.permitted)
    if (others.length === 0) continue
    throw new InvalidFileError(
      paths.crossCert,
      `leads from an earlier root that may vouch for ${list(one.permitted)} only (SIDECAR_CA_CONSTRAIN), so until ` +
        `${one.notAfter.toISOString()} clients of that root would refuse a leaf for ${list(others)}: take these out of ` +
        `SIDECAR_HOSTS; or, ${DROP_EARLIER_ROOTS}`,
    )
  }
}

/** The names of the folder's leaf, since the sidecar knows best; those that are wanted where there is none. */
export function namesToKeep(
  { leafCert }: StateTexts,
  { names, authority }: { readonly names: NamesUnder; readonly authority: Authority },
): readonly SubjectAltName[] {
  const present = namesOf(leafCert ?? '')
  return present.length > 0 ? present : names(withIntersectedConstraints(authority))
}

function namesOf(leafCert: string): readonly SubjectAltName[] {
  try {
    return parseLeaf(leafCert, 'leaf.crt').subjectAltNames
  } catch (error) {
    if (error instanceof InvalidFileError) return []
    throw error
  }
}

function list(some: PermittedNames = []): string {
  return some.map(({ value }) => value).join(', ')
}
