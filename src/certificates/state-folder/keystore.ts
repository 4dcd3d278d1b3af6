// Keystore: a folder that holds root and leaf. Both are read, or issued and written.
//
// Order matters. A first start writes root.key, root.crt, root.sha256, leaf.key, leaf.crt, each whole and in place
// before the next, so that what a crash leaves behind tells how far it came: a root.key alone was never used and is
// replaced; from root.crt on, a client may know the root, and it is never replaced without a person's doing. How that
// goes on is told in root-renewal.ts.

import { mkdir } from 'node:fs/promises'

import { oneAfterTheOther } from '../../async/in-flight.ts'
import type { Log } from '../../observability/log.ts'
import { issueInto, issuerIn, knowsNoRoot, namesToKeep, type NamesUnder } from './authority.ts'
import type { CertificateBundle, Root } from '../../pki/certificate.ts'
import { narrowed, type Authority } from '../../pki/cross-certificates.ts'
import type { SubjectAltName } from '../../pki/names.ts'
import { beginRootRenewal, finishRootRenewal } from './root-renewal.ts'
import { settle, settleFirst } from './repair-state.ts'
import { pathsIn, readFiles, refuse, tighten, underLock } from './state-files.ts'
import { readLeaf, readRoot, type StoredLeaf } from './stored-state.ts'

export { readAuthority, readLeaf, readRoot } from './stored-state.ts'

/** The names that the leaf should carry, or how they come from the root that it is issued under. */
export type WantedNames = readonly SubjectAltName[] | NamesUnder

export interface Keystore {
  readonly root: Root
  /** The same, permitted only what the roots before it may vouch for as well, which clients may still trust alone. */
  readonly narrowedRoot: Root
  /** The leaf in force, with what leads to it. */
  readonly bundle: CertificateBundle
  /** The file that another process puts in place last when it renews the leaf. */
  readonly leafFile: string
  /** What opening had to issue. */
  readonly issued: { readonly root: boolean; readonly leaf: boolean }
  /**
   * To be called every now and then, and when the leaf's file has changed: reads the folder again, and issues a leaf
   * under the folder's root when the present one is past two thirds of its life, carries other names or is unusable.
   * Resolves to the new bundle, or to undefined when the one in force stays. Never issues a root. Rejects with
   * `InvalidFileError`; then nothing has changed.
   */
  renewIfDue(names: WantedNames, now: Date): Promise<CertificateBundle | undefined>
}

export interface KeystoreOptions {
  readonly folder: string
  readonly names: WantedNames
  readonly now: Date
  /** The names that a root which is issued now vouches for; it cannot be told others later. Absent: all. */
  readonly constrainTo?: readonly SubjectAltName[] | undefined
  readonly log?: Log | undefined
}

/** Reads root and leaf, or issues what is missing. Throws `InvalidFileError` with the fix where a person must act. */
export async function openKeystore(options: KeystoreOptions): Promise<Keystore> {
  const { folder, names, now, constrainTo, log } = options
  const paths = pathsIn(folder)
  await mkdir(folder, { recursive: true, mode: 0o700 }).catch(refuse(folder, 'written'))
  await tighten(paths.rootKey, log)
  await tighten(paths.leafKey, log)

  const wanted = { names: namesUnder(names), now, constrainTo }
  const first = knowsNoRoot(await readFiles(paths)) ? await settleFirst(paths, wanted) : undefined
  let current = first?.settled ?? (await settle(paths, wanted))
  const issued = { root: first?.issuedRoot ?? false, leaf: current.isNew }
  const inOrder = oneAfterTheOther()

  async function renew(names: WantedNames, now: Date): Promise<CertificateBundle | undefined> {
    const settled = await settle(paths, { names: namesUnder(names), now, inForce: current.bundle })
    if (settled.bundle.leaf.fingerprint === current.bundle.leaf.fingerprint) return undefined
    current = settled
    return current.bundle
  }

  return {
    get root() {
      return current.root
    },
    get narrowedRoot() {
      return narrowed(current)
    },
    get bundle() {
      return current.bundle
    },
    leafFile: paths.leafCert,
    issued,
    renewIfDue(names, now) {
      // One after the other: what was read earlier must not come into force after what was read later.
      return inOrder(() => renew(names, now))
    },
  }
}

export interface RenewalRequest {
  readonly folder: string
  /** For a folder whose leaf does not tell. Otherwise its names are kept: the sidecar knows them best. */
  readonly names: NamesUnder
  readonly now: Date
}

export interface RenewedLeaf extends StoredLeaf, Authority {}

/** Issues a leaf under the root of the folder, whether or not one is due. Never issues a root. Throws `InvalidFileError`. */
export async function renewLeaf({ folder, names, now }: RenewalRequest): Promise<RenewedLeaf> {
  await readRoot(folder)
  const paths = pathsIn(folder)
  return underLock(paths, async (lock) => {
    await finishRootRenewal(paths, { names, now }, lock)
    const texts = await readFiles(paths)
    const issuer = issuerIn(texts, { paths, now })
    const { authority } = issuer
    const request = { issuer, names: namesToKeep(texts, { names, authority }), now }
    const { leaf } = await issueInto(paths, request, lock)
    return { ...authority, file: paths.leafCert, leaf }
  })
}

export interface RootRenewalRequest extends RenewalRequest {
  /** The names that the new root vouches for, beside those of the leaf. Absent: all. */
  readonly constrainTo?: readonly SubjectAltName[] | undefined
}

/**
 * Issues another root and a leaf under it. Clients that trust the root before it go on to accept what is served, until
 * that one ends; its key is gone. Throws `InvalidFileError`; then nothing has changed, or the next to open the folder
 * finishes it.
 */
export async function renewRoot(request: RootRenewalRequest): Promise<RenewedLeaf> {
  const { folder, names, now, constrainTo } = request
  await readRoot(folder)
  const paths = pathsIn(folder)
  return underLock(paths, async (lock) => {
    // Another one may have broken off.
    await finishRootRenewal(paths, { names, now }, lock)
    const texts = await readFiles(paths)
    const issuer = issuerIn(texts, { paths, now })
    const kept = namesToKeep(texts, { names, authority: issuer.authority })
    const renewal = { issuer, now, constrainTo: constrainTo && [...constrainTo, ...kept] }
    await beginRootRenewal(paths, renewal, lock)
    await finishRootRenewal(paths, { names, now }, lock)
    const { authority } = issuerIn(await readFiles(paths), { paths, now })
    return { ...authority, ...(await readLeaf(folder)) }
  })
}

function namesUnder(names: WantedNames): NamesUnder {
  return typeof names === 'function' ? names : () => names
}
