// Repairs the state folder: issues and writes what is missing.
//
// Files are written one after the other. After a crash, the existing files determine the next step:
//
// | Files                                       | State                          | Next step                                |
// |---------------------------------------------|--------------------------------|------------------------------------------|
// | none of those below; perhaps root.key       | empty: no client knows a root  | issue root.key, root.crt; then as below  |
// | root.key, root.crt                          | first start was interrupted    | write root.sha256, then issue a leaf     |
// | the same and root.sha256; no usable leaf    | leaf missing, unusable or due  | issue leaf.key, leaf.crt                 |
// | the same and a usable leaf.key, leaf.crt    | whole                          | none                                     |
// | next-root.key without next-root.crt         | root renewal not decided       | remove next-root.key                     |
// | next-root.crt                               | root renewal decided           | finish it, see root-renewal.ts           |
// | root.crt or root.key missing, others there  | root lost                      | refuse: a person must restore it         |
// | cross.crt missing, but part of leaf.crt     | cross certificates lost        | refuse: a person must restore it         |
// | root.key or root.sha256 of another root     | mixed folder                   | refuse: a person must restore it         |
//
// Readers take no lock, so they read again before they report a mismatch. Writers always take the lock.

import { createPrivateKey, X509Certificate } from 'node:crypto'

import type { FileLock } from '../../files/file-lock.ts'
import { readUntilWhole } from '../../files/read-again.ts'
import { issueInto, issuerIn, isEmptyState, type NamesUnder } from './authority.ts'
import { isRenewalDue, isIssuedBy, parseBundle, type CertificateBundle } from '../../pki/certificate.ts'
import { hasExpectedChain, withIntersectedConstraints, type Authority } from '../../pki/cross-certificates.ts'
import type { SubjectAltName } from '../../pki/names.ts'
import { refuseEarlyClock } from './root-refusals.ts'
import { finishRootRenewal, isRenewingRoot } from './root-renewal.ts'
import {
  LOOKS_OF_A_READER,
  isRootShared,
  readFiles,
  underLock,
  unlessInvalid,
  write,
  writePair,
  type StatePaths,
  type StateTexts,
} from './state-files.ts'

export interface WholeState extends Authority {
  readonly bundle: CertificateBundle
  readonly isNew: boolean
}

export interface RepairRequest {
  readonly names: NamesUnder
  readonly now: Date
  /** The leaf in force. It stays when another sidecar has written a leaf with other names. */
  readonly inForce?: CertificateBundle | undefined
  readonly constrainTo?: readonly SubjectAltName[] | undefined
}

/** Issues another leaf if needed. Throws `InvalidFileError`. */
export async function repairState(paths: StatePaths, request: RepairRequest): Promise<WholeState> {
  const texts = await readWhole(paths, request)
  if (!isRenewingRoot(texts, paths)) {
    const { authority } = issuerIn(texts, { paths, now: request.now })
    const bundle = usableLeafIn(texts, { paths, authority, request })
    if (bundle !== undefined && !lacksMarker(texts, paths)) return { ...authority, bundle, isNew: false }
  }
  return underLock(paths, (lock) => repairLocked(paths, request, lock))
}

/** If two sidecars start at once, the first issues the root. The second waits and uses that root. */
export async function createState(
  paths: StatePaths,
  request: RepairRequest,
): Promise<{ readonly state: WholeState; readonly issuedRoot: boolean }> {
  return underLock(paths, async (lock) => {
    const issuedRoot = isEmptyState(await readFiles(paths))
    const files = { certFile: paths.rootCert, keyFile: paths.rootKey }
    if (issuedRoot) {
      refuseEarlyClock(files.certFile, request.now)
      const { issueRoot } = await import('../../pki/issue.ts')
      await writePair(files, issueRoot(request), lock)
    }
    return { state: await repairLocked(paths, request, lock), issuedRoot }
  })
}

// Reads everything again, because the process that held the lock before may have repaired everything.
async function repairLocked(paths: StatePaths, request: RepairRequest, lock: FileLock): Promise<WholeState> {
  const { now } = request
  await finishRootRenewal(paths, request, lock)
  const texts = await readFiles(paths)
  const issuer = issuerIn(texts, { paths, now })
  const { authority } = issuer
  if (lacksMarker(texts, paths)) {
    await write(paths.marker, `${authority.root.fingerprint}\n`, { mode: 0o644, lock })
  }
  const present = usableLeafIn(texts, { paths, authority, request })
  if (present !== undefined) return { ...authority, bundle: present, isNew: false }
  const names = request.names(withIntersectedConstraints(authority))
  return { ...authority, bundle: await issueInto(paths, { issuer, names, now }, lock), isNew: true }
}

// A shared root is never created here, so it needs no proof that it existed.
function lacksMarker({ marker }: StateTexts, paths: StatePaths): boolean {
  return marker === undefined && !isRootShared(paths)
}

interface LeafQuestion {
  readonly paths: StatePaths
  readonly authority: Authority
  readonly request: RepairRequest
}

function usableLeafIn(
  texts: StateTexts,
  { paths, authority, request }: LeafQuestion,
): CertificateBundle | undefined {
  const { now, inForce } = request
  const origin = { certFile: paths.leafCert, keyFile: paths.leafKey, now }
  const present = unlessInvalid(() => parseBundle(texts.leafCert ?? '', texts.leafKey ?? '', origin))
  if (present === undefined || !leadsTo(present, authority)) return undefined
  const root = withIntersectedConstraints(authority)
  const wantedLeaf = { names: request.names(root), now }
  const isUsable = (bundle: CertificateBundle) => !isRenewalDue(bundle, root, wantedLeaf)
  if (isUsable(present)) return present
  // Sidecars with different names may share the folder. They must not replace each other's leaf forever.
  return inForce !== undefined && leadsTo(inForce, authority) && isUsable(inForce) ? inForce : undefined
}

function leadsTo(bundle: CertificateBundle, authority: Authority): boolean {
  return isIssuedBy(bundle, authority.root) && hasExpectedChain(bundle, authority)
}

/** Waits at most a quarter of a second for files that belong together. */
function readWhole(paths: StatePaths, { now }: RepairRequest): Promise<StateTexts> {
  const isWhole = (texts: StateTexts) =>
    !(isRenewingRoot(texts, paths) || isLeafHalfway(texts) || isRootHalfway(texts, { paths, now }))
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

// Either the files were read between two steps of a renewal, or they never belonged together.
function isRootHalfway(texts: StateTexts, place: Parameters<typeof issuerIn>[1]): boolean {
  const isThere = texts.rootCert !== undefined && texts.rootKey !== undefined
  return isThere && unlessInvalid(() => issuerIn(texts, place)) === undefined
}
