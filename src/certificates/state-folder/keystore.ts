// Opens the state folder, and renews its root and leaf.
//
// Order matters. A first start writes root.key, root.crt, root.sha256, leaf.key, leaf.crt, one after the other.
// A root.key alone was never used and is replaced.
// When root.crt exists, clients may trust it, so only an operator's command replaces it (root-renewal.ts).
// repair-state.ts lists the possible states after a crash, each with its next step.

import { oneAfterTheOther } from '../../async/in-flight.ts'
import type { Log } from '../../observability/log.ts'
import { issueInto, issuerIn, isEmptyState, namesToKeep, type NamesUnder } from './authority.ts'
import type { CertificateBundle, Root } from '../../pki/certificate.ts'
import { withIntersectedConstraints, type Authority } from '../../pki/cross-certificates.ts'
import type { SubjectAltName } from '../../pki/names.ts'
import { beginRootRenewal, finishRootRenewal } from './root-renewal.ts'
import { createState, repairState } from './repair-state.ts'
import { sharedRootRenewal } from './root-refusals.ts'
import {
  createStateFolder,
  isRootShared,
  pathsIn,
  readFiles,
  restrictKeyFile,
  underLock,
  warnOfReadableKey,
  type StatePlace,
} from './state-files.ts'
import { readLeaf, readRoot, type StoredLeaf } from './stored-state.ts'

export type WantedNames = readonly SubjectAltName[] | NamesUnder

export interface Keystore {
  readonly root: Root
  /** Permits only names that all earlier roots permit too, because some clients trust only an earlier root. */
  readonly narrowedRoot: Root
  readonly bundle: CertificateBundle
  /** The file that a renewal writes last. */
  readonly leafFile: string
  /** Present if another program replaces the root. */
  readonly sharedRootFile?: string
  readonly issued: { readonly root: boolean; readonly leaf: boolean }
  /** Resolves to undefined if the leaf stays. Never issues a root. Rejects with `InvalidFileError`. */
  renewIfDue(names: WantedNames, now: Date): Promise<CertificateBundle | undefined>
}

export interface KeystoreOptions extends StatePlace {
  readonly names: WantedNames
  readonly now: Date
  /** The only names that a new root permits. Absent: all names. */
  readonly constrainTo?: readonly SubjectAltName[] | undefined
  readonly log?: Log | undefined
}

/** Throws `InvalidFileError` with the fix if a person must act. */
export async function openKeystore(options: KeystoreOptions): Promise<Keystore> {
  const { names, now, constrainTo, log } = options
  const paths = pathsIn(options)
  const isShared = isRootShared(paths)
  await createStateFolder(options)
  await (isShared ? warnOfReadableKey(paths.rootKey, log) : restrictKeyFile(paths.rootKey, log))
  await restrictKeyFile(paths.leafKey, log)

  const wanted = { names: namesUnder(names), now, constrainTo }
  const isFirstStart = !isShared && isEmptyState(await readFiles(paths))
  const created = isFirstStart ? await createState(paths, wanted) : undefined
  let current = created?.state ?? (await repairState(paths, wanted))
  const issued = { root: created?.issuedRoot ?? false, leaf: current.isNew }
  const inOrder = oneAfterTheOther()

  async function renew(names: WantedNames, now: Date): Promise<CertificateBundle | undefined> {
    const next = await repairState(paths, { names: namesUnder(names), now, inForce: current.bundle })
    if (next.bundle.leaf.fingerprint === current.bundle.leaf.fingerprint) return undefined
    current = next
    return current.bundle
  }

  return {
    get root() {
      return current.root
    },
    get narrowedRoot() {
      return withIntersectedConstraints(current)
    },
    get bundle() {
      return current.bundle
    },
    leafFile: paths.leafCert,
    ...(isShared ? { sharedRootFile: paths.rootCert } : {}),
    issued,
    renewIfDue(names, now) {
      // One after the other, because an older read must not come into force after a newer read.
      return inOrder(() => renew(names, now))
    },
  }
}

export interface RenewalRequest extends StatePlace {
  /** Used only if the folder has no leaf. Otherwise the new leaf has the names of the present leaf. */
  readonly names: NamesUnder
  readonly now: Date
}

export interface RenewedLeaf extends StoredLeaf, Authority {}

/** Renews even if no renewal is due. Throws `InvalidFileError`. */
export async function renewLeaf(request: RenewalRequest): Promise<RenewedLeaf> {
  const { names, now } = request
  await readRoot(request)
  await createStateFolder(request)
  const paths = pathsIn(request)
  return underLock(paths, async (lock) => {
    await finishRootRenewal(paths, { names, now }, lock)
    const texts = await readFiles(paths)
    const issuer = issuerIn(texts, { paths, now })
    const { authority } = issuer
    const wanted = { issuer, names: namesToKeep(texts, { names, authority }), now }
    const { leaf } = await issueInto(paths, wanted, lock)
    return { ...authority, file: paths.leafCert, leaf }
  })
}

export interface RootRenewalRequest extends RenewalRequest {
  /** The names that the new root permits, besides the names of the leaf. Absent: all names. */
  readonly constrainTo?: readonly SubjectAltName[] | undefined
}

/** Deletes the key of the earlier root. If it throws `InvalidFileError`, the next process may finish the renewal. */
export async function renewRoot(request: RootRenewalRequest): Promise<RenewedLeaf> {
  const { names, now, constrainTo } = request
  const paths = pathsIn(request)
  if (isRootShared(paths)) throw sharedRootRenewal(paths.rootCert)
  await readRoot(request)
  return underLock(paths, async (lock) => {
    // An earlier renewal may have stopped halfway.
    await finishRootRenewal(paths, { names, now }, lock)
    const texts = await readFiles(paths)
    const issuer = issuerIn(texts, { paths, now })
    const kept = namesToKeep(texts, { names, authority: issuer.authority })
    const renewal = { issuer, now, constrainTo: constrainTo && [...constrainTo, ...kept] }
    await beginRootRenewal(paths, renewal, lock)
    await finishRootRenewal(paths, { names, now }, lock)
    const { authority } = issuerIn(await readFiles(paths), { paths, now })
    return { ...authority, ...(await readLeaf(request)) }
  })
}

function namesUnder(names: WantedNames): NamesUnder {
  return typeof names === 'function' ? names : () => names
}
