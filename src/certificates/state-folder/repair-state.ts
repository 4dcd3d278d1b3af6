// Settle: what the files of the state folder amount to, root and leaf, and what has to be issued for that.
//
// Reading takes no lock, writing always does. A reader may therefore come between the two files of a pair; it looks
// again before it believes that they do not belong together.

import { createPrivateKey, X509Certificate } from 'node:crypto'

import type { FileLock } from '../../files/file-lock.ts'
import { readUntilWhole } from '../../files/read-again.ts'
import { issueInto, issuerIn, knowsNoRoot, type NamesUnder } from './authority.ts'
import { isDue, isIssuedBy, parseBundle, type CertificateBundle } from '../../pki/certificate.ts'
import { hasItsChain, narrowed, type Authority } from '../../pki/cross-certificates.ts'
import { issueRoot } from '../../pki/issue.ts'
import type { SubjectAltName } from '../../pki/names.ts'
import { refuseEarlyClock } from './root-refusals.ts'
import { finishRootRenewal, isRenewingRoot } from './root-renewal.ts'
import {
  LOOKS_OF_A_READER,
  readFiles,
  underLock,
  usable,
  write,
  writePair,
  type StatePaths,
  type StateTexts,
} from './state-files.ts'

export interface Settled extends Authority {
  readonly bundle: CertificateBundle
  readonly isNew: boolean
}

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
  const texts = await readWhole(paths, wanted)
  if (!isRenewingRoot(texts)) {
    const { authority } = issuerIn(texts, { paths, now: wanted.now })
    const bundle = leafIn(texts, { paths, authority, wanted })
    if (bundle !== undefined && texts.marker !== undefined) return { ...authority, bundle, isNew: false }
  }
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
  await finishRootRenewal(paths, wanted, lock)
  const texts = await readFiles(paths)
  const issuer = issuerIn(texts, { paths, now: wanted.now })
  const { authority } = issuer
  if (texts.marker === undefined) {
    await write(paths.marker, `${authority.root.fingerprint}\n`, { mode: 0o644, lock })
  }
  const present = leafIn(texts, { paths, authority, wanted })
  if (present !== undefined) return { ...authority, bundle: present, isNew: false }
  const request = { issuer, names: wanted.names(narrowed(authority)), now: wanted.now }
  return { ...authority, bundle: await issueInto(paths, request, lock), isNew: true }
}

interface LeafQuestion {
  readonly paths: StatePaths
  readonly authority: Authority
  readonly wanted: Wanted
}

/** The leaf that can go on being served, or undefined when another is needed: that costs no client its trust. */
function leafIn(
  texts: StateTexts,
  { paths, authority, wanted }: LeafQuestion,
): CertificateBundle | undefined {
  const { now, inForce } = wanted
  const origin = { certFile: paths.leafCert, keyFile: paths.leafKey, now }
  const present = usable(() => parseBundle(texts.leafCert ?? '', texts.leafKey ?? '', origin))
  if (present === undefined || !leadsTo(present, authority)) return undefined
  const root = narrowed(authority)
  const wantedLeaf = { names: wanted.names(root), now }
  const isGood = (bundle: CertificateBundle) => !isDue(bundle, root, wantedLeaf)
  if (isGood(present)) return present
  // Two sidecars of different names share the folder: were each to replace the other's leaf with one for its own
  // names, neither would ever come to rest.
  return inForce !== undefined && leadsTo(inForce, authority) && isGood(inForce) ? inForce : undefined
}

function leadsTo(bundle: CertificateBundle, authority: Authority): boolean {
  return isIssuedBy(bundle, authority.root) && hasItsChain(bundle, authority)
}

/** The files when they belong together, or as they are after a quarter second. */
function readWhole(paths: StatePaths, { now }: Wanted): Promise<StateTexts> {
  const isWhole = (texts: StateTexts) =>
    !(isRenewingRoot(texts) || isLeafHalfway(texts) || isRootHalfway(texts, { paths, now }))
  return readUntilWhole(() => readFiles(paths), { isWhole, ...LOOKS_OF_A_READER })
}

function isLeafHalfway({ leafCert, leafKey }: StateTexts): boolean {
  if (leafCert === undefined || leafKey === undefined) return leafCert !== leafKey
  try {
    return !new X509Certificate(leafCert).checkPrivateKey(createPrivateKey(leafKey))
  } catch {
    return true
  }
}

// Its files were read in between two steps of a renewal; or they do not belong together, which is then told.
function isRootHalfway(texts: StateTexts, place: Parameters<typeof issuerIn>[1]): boolean {
  const isThere = texts.rootCert !== undefined && texts.rootKey !== undefined
  return isThere && usable(() => issuerIn(texts, place)) === undefined
}
