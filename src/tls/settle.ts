// Settle: what the files of the state folder amount to, root and leaf, and what has to be issued for that.
//
// Reading takes no lock, writing always does. A reader may therefore come between the two files of a pair; it looks
// again before it believes that they do not belong together.

import { createPrivateKey, X509Certificate } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'

import { InvalidFileError } from '../errors.ts'
import type { FileLock } from '../file-lock.ts'
import { BEGIN_AGAIN, isDue, isIssuedBy, parseBundle, parseRoot } from './certificate.ts'
import type { CertificateBundle, Root, WantedLeaf } from './certificate.ts'
import { issueLeaf, issueRoot, type IssuedCertificate } from './issue.ts'
import { notPermitted } from './name-constraints.ts'
import type { SubjectAltName } from './names.ts'
import { expiredRoot, foreignRoot, refuseEarlyClock } from './root-refusals.ts'
import { readFiles, underLock, write, writePair, type StatePaths, type StateTexts } from './state-files.ts'

export interface Settled {
  readonly root: Root
  readonly bundle: CertificateBundle
  readonly isNew: boolean
}

/** The names that the leaf should carry, which the root may have a say in. */
export type NamesUnder = (root: Root) => readonly SubjectAltName[]

export interface Wanted {
  readonly names: NamesUnder
  readonly now: Date
  /** What is served already. It stays when the folder holds the leaf of another sidecar, for other names. */
  readonly inForce?: CertificateBundle | undefined
  /** The names that a first root is to vouch for, if not for all. */
  readonly constrainTo?: readonly SubjectAltName[] | undefined
}

/** The root, and a leaf that is not due: the one that lies there, or a new one. Throws `InvalidFileError`. */
export async function settle(paths: StatePaths, wanted: Wanted): Promise<Settled> {
  const texts = await readWhole(paths)
  const { root } = rootIn(texts, { paths, now: wanted.now })
  const bundle = leafIn(texts, { paths, root, wanted })
  if (bundle !== undefined && texts.marker !== undefined) return { root, bundle, isNew: false }
  return underLock(paths, (lock) => settleLocked(paths, wanted, lock))
}

// Two sidecars may start at once on one empty folder: one issues, the other waits and finds it done.
export async function settleFirst(
  paths: StatePaths,
  wanted: Wanted,
): Promise<{ readonly settled: Settled; readonly issuedRoot: boolean }> {
  return underLock(paths, async (lock) => {
    const issuedRoot = knowsNoRoot(await readFiles(paths))
    const files = { certFile: paths.rootCert, keyFile: paths.rootKey }
    if (issuedRoot) {
      refuseEarlyClock(files.certFile, wanted.now)
      await writePair(files, issueRoot(wanted), lock)
    }
    return { settled: await settleLocked(paths, wanted, lock), issuedRoot }
  })
}

// Everything is read again: whoever held the lock before may have done it all.
async function settleLocked(paths: StatePaths, wanted: Wanted, lock: FileLock): Promise<Settled> {
  const texts = await readFiles(paths)
  const { root, keyPem } = rootIn(texts, { paths, now: wanted.now })
  if (texts.marker === undefined) await write(paths.marker, `${root.fingerprint}\n`, { mode: 0o644, lock })
  const present = leafIn(texts, { paths, root, wanted })
  if (present !== undefined) return { root, bundle: present, isNew: false }
  const request = { root, rootKeyPem: keyPem, names: wanted.names(root), now: wanted.now }
  return { root, bundle: await issueInto(paths, request, lock), isNew: true }
}

export interface IssueRequest extends WantedLeaf {
  readonly root: Root
  readonly rootKeyPem: string
}

/** Issues a leaf and puts it into the folder. */
export async function issueInto(
  paths: StatePaths,
  { root, rootKeyPem, names, now }: IssueRequest,
  lock: FileLock,
): Promise<CertificateBundle> {
  const files = { certFile: paths.leafCert, keyFile: paths.leafKey }
  refuseNotPermitted(names, root)
  const leaf = issueUnder({ root, rootKeyPem, names, now })
  const bundle = parseBundle(leaf.certPem + root.pem, leaf.keyPem, { ...files, now })
  // Written, it would be refused by clients, and issued anew at every look.
  if (!isIssuedBy(bundle, root)) throw foreignRoot(root)
  await writePair(files, bundle, lock)
  return bundle
}

function issueUnder({ root, rootKeyPem, names, now }: IssueRequest): IssuedCertificate {
  try {
    return issueLeaf({ root: { certPem: root.pem, keyPem: rootKeyPem }, names, now })
  } catch (cause) {
    throw foreignRoot(root, cause)
  }
}

// A leaf that clients refuse is worth less than none, and one that lacks a name which somebody counts on no more.
function refuseNotPermitted(names: readonly SubjectAltName[], { file, permitted }: Root): void {
  const strangers = notPermitted(names, permitted)
  if (strangers.length === 0) return
  const list = (some: readonly SubjectAltName[] = []) => some.map(({ value }) => value).join(', ')
  throw new InvalidFileError(
    file,
    `may vouch for ${list(permitted)} only (SIDECAR_CA_CONSTRAIN), not for ${list(strangers)}: take these out of ` +
      `SIDECAR_HOSTS; or, for a root that may, ${BEGIN_AGAIN}`,
  )
}

/** The root and its key, if leaves can be issued under it. Throws `InvalidFileError`. */
export function rootIn(
  texts: StateTexts,
  { paths, now }: { readonly paths: StatePaths; readonly now: Date },
): { readonly root: Root; readonly keyPem: string } {
  if (texts.rootCert === undefined) throw lost(paths.rootCert, texts)
  if (texts.rootKey === undefined) throw lost(paths.rootKey, texts)
  const root = parseRoot({ certPem: texts.rootCert, keyPem: texts.rootKey, marker: texts.marker }, paths)
  if (root.notAfter <= now) throw expiredRoot(root, now)
  return { root, keyPem: texts.rootKey }
}

/** True for an empty folder, and for one where a first start came no further than the root's key. */
export function knowsNoRoot({ rootCert, marker, leafKey, leafCert }: StateTexts): boolean {
  return [rootCert, marker, leafKey, leafCert].every((text) => text === undefined)
}

// A silently new root would break every client, so a person decides.
export function lost(file: string, { leafCert }: StateTexts): InvalidFileError {
  const hasCopy = file.endsWith('.crt') && leafCert !== undefined
  const copy = hasCopy ? ' (leaf.crt holds it too, as its last certificate)' : ''
  return new InvalidFileError(
    file,
    `is missing, and clients may trust this root already: put it back from a backup${copy}, or ${BEGIN_AGAIN}`,
  )
}

interface LeafQuestion {
  readonly paths: StatePaths
  readonly root: Root
  readonly wanted: Wanted
}

/** The leaf that can go on being served, or undefined when another is needed: that costs no client its trust. */
function leafIn(texts: StateTexts, { paths, root, wanted }: LeafQuestion): CertificateBundle | undefined {
  const { now, inForce } = wanted
  const origin = { certFile: paths.leafCert, keyFile: paths.leafKey, now }
  const present = usable(() => parseBundle(texts.leafCert ?? '', texts.leafKey ?? '', origin))
  if (present === undefined || !isIssuedBy(present, root)) return undefined
  const isGood = (bundle: CertificateBundle) => !isDue(bundle, root, { names: wanted.names(root), now })
  if (isGood(present)) return present
  // Two sidecars of different names share the folder: were each to replace the other's leaf with one for its own
  // names, neither would ever come to rest.
  return inForce !== undefined && isIssuedBy(inForce, root) && isGood(inForce) ? inForce : undefined
}

function usable(parse: () => CertificateBundle): CertificateBundle | undefined {
  try {
    return parse()
  } catch (error) {
    if (error instanceof InvalidFileError) return undefined
    throw error
  }
}

const LOOKS = 6
const LOOK_AGAIN_MS = 50

/** The files, once leaf and key belong together; as they are when they do not come to that within a quarter second. */
async function readWhole(paths: StatePaths): Promise<StateTexts> {
  for (let looks = 1; ; looks++) {
    const texts = await readFiles(paths)
    if (looks === LOOKS || !isHalfway(texts)) return texts
    await pause(LOOK_AGAIN_MS)
  }
}

function isHalfway({ leafCert, leafKey }: StateTexts): boolean {
  if (leafCert === undefined || leafKey === undefined) return leafCert !== leafKey
  try {
    return !new X509Certificate(leafCert).checkPrivateKey(createPrivateKey(leafKey))
  } catch {
    return true
  }
}
