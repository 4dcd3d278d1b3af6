// Reads the root and its key, and issues leaves under it.

import { X509Certificate } from 'node:crypto'

import { InvalidFileError } from '../../errors/errors.ts'
import type { FileLock } from '../../files/file-lock.ts'
import {
  START_OVER,
  hasIssued,
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
import type { IssuedCertificate, LeafRequest } from '../../pki/issue.ts'
import { notPermitted, type PermittedNames } from '../../pki/name-constraints.ts'
import type { SubjectAltName } from '../../pki/names.ts'
import { expiredRoot, foreignRoot, missingSharedRoot } from './root-refusals.ts'
import { isRootShared, writePair, type StatePaths, type StateTexts } from './state-files.ts'

/** The names that the leaf should contain, under a root that may be limited to some names. */
export type NamesUnder = (root: Root) => readonly SubjectAltName[]

export interface Issuer {
  readonly authority: Authority
  readonly keyPem: string
}

/** Throws `InvalidFileError` if the root cannot issue leaves. */
export function issuerIn(
  texts: StateTexts,
  { paths, now }: { readonly paths: StatePaths; readonly now: Date },
): Issuer {
  if (texts.rootCert === undefined) throw missingRootError(paths.rootCert, texts, paths)
  if (texts.rootKey === undefined) throw missingRootError(paths.rootKey, texts, paths)
  const root = parseRoot({ certPem: texts.rootCert, keyPem: texts.rootKey, marker: texts.marker }, paths)
  if (root.notAfter <= now) throw expiredRoot(root, now)
  if (
    texts.crossCert === undefined &&
    hasCrossCertificate(texts.leafCert) &&
    !isForeignLeaf(texts, root, paths)
  ) {
    throw new InvalidFileError(
      paths.crossCert,
      `is missing, and some clients may trust only an earlier root: restore it from a backup; or, ${DROP_EARLIER_ROOTS}`,
    )
  }
  const earlier = parseEarlier(texts.crossCert, { root, file: paths.crossCert, now })
  return { authority: { root, earlier }, keyPem: texts.rootKey }
}

// A shared root may be unrelated to the root before it. Then the old leaf says nothing about this root.
function isForeignLeaf({ leafCert = '' }: StateTexts, root: Root, paths: StatePaths): boolean {
  if (!isRootShared(paths)) return false
  try {
    return !hasIssued(new X509Certificate(root.pem), new X509Certificate(leafCert))
  } catch {
    return true
  }
}

/** Also true if a first start stopped after it wrote the key of the root. */
export function isEmptyState({ rootCert, marker, leafKey, leafCert, nextRootCert }: StateTexts): boolean {
  return [rootCert, marker, leafKey, leafCert, nextRootCert].every((text) => text === undefined)
}

// A new root would break every client, so a person must decide.
export function missingRootError(
  file: string,
  { leafCert }: StateTexts,
  paths: StatePaths,
): InvalidFileError {
  if (isRootShared(paths)) return missingSharedRoot(file)
  const hasCopy = file.endsWith('.crt') && endsInRoot(leafCert)
  const copy = hasCopy ? ' (leaf.crt holds it too, as its last certificate)' : ''
  return new InvalidFileError(
    file,
    `is missing, and clients may trust this root already: restore it from a backup${copy}, or ${START_OVER}`,
  )
}

export interface IssueRequest extends WantedLeaf {
  readonly issuer: Issuer
}

/** Writes the leaf with the chain to every root. Throws `InvalidFileError`. */
export async function issueInto(
  paths: StatePaths,
  { issuer, names, now }: IssueRequest,
  lock: FileLock,
): Promise<CertificateBundle> {
  const files = { certFile: paths.leafCert, keyFile: paths.leafKey }
  const { authority, keyPem } = issuer
  refuseNamesNotPermitted(names, authority, paths)
  const leaf = await issueUnder(authority.root, { root: { certPem: authority.root.pem, keyPem }, names, now })
  const bundle = parseBundle(leaf.certPem + chainBehindLeaf(authority), leaf.keyPem, { ...files, now })
  // Does not write this leaf, because clients would refuse it and each later look would issue another leaf.
  if (!isIssuedBy(bundle, authority.root)) throw foreignRoot(authority.root)
  await writePair(files, bundle, lock)
  return bundle
}

async function issueUnder(root: Root, request: LeafRequest): Promise<IssuedCertificate> {
  // Loaded on demand, because most starts find a valid leaf.
  const { issueLeaf } = await import('../../pki/issue.ts')
  try {
    return issueLeaf(request)
  } catch (cause) {
    throw foreignRoot(root, cause)
  }
}

// Clients would refuse such a leaf. A leaf without these names would fail only when clients use them.
function refuseNamesNotPermitted(
  names: readonly SubjectAltName[],
  { root, earlier }: Authority,
  paths: StatePaths,
): void {
  const { permitted } = root
  const refused = notPermitted(names, permitted)
  if (refused.length > 0) {
    throw new InvalidFileError(
      root.file,
      `is valid for ${list(permitted)} only (SIDECAR_CA_CONSTRAIN), not for ${list(refused)}: remove these names from ` +
        `SIDECAR_HOSTS; or, to get a root that permits them, ${START_OVER}`,
    )
  }
  for (const one of earlier) {
    const others = notPermitted(names, one.permitted)
    if (others.length === 0) continue
    throw new InvalidFileError(
      paths.crossCert,
      `an earlier root permits only ${list(one.permitted)} (SIDECAR_CA_CONSTRAIN). Until ${one.notAfter.toISOString()}, ` +
        `clients that trust only that root refuse a leaf for ${list(others)}: remove these names from SIDECAR_HOSTS; or, ` +
        DROP_EARLIER_ROOTS,
    )
  }
}

/** Prefers the names of the present leaf, because a command may have other settings than the sidecar. */
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
