// Keystore: a folder that holds root and leaf. Both are read, or issued and written.
//
// Order matters. A first start writes root.key, root.crt, root.sha256, leaf.key, leaf.crt, each whole and in place
// before the next, so that what a crash leaves behind tells how far it came: a root.key alone was never used and is
// replaced; from root.crt on, a client may know the root, and it is never replaced without a person's doing.

import { mkdir } from 'node:fs/promises'

import { InvalidFileError } from '../errors.ts'
import type { Log } from '../log.ts'
import { parseLeaf, parseRoot, type CertificateBundle, type LeafFacts, type Root } from './certificate.ts'
import type { SubjectAltName } from './names.ts'
import { issueInto, knowsNoRoot, lost, rootIn, settle, settleFirst, type NamesUnder } from './settle.ts'
import { pathsIn, readFiles, refuse, tighten, underLock } from './state-files.ts'

const NO_ROOT_YET = 'does not exist yet; start the sidecar once: it issues its root at the first start'
const NO_LEAF = 'is missing; start the sidecar, or run `registry-sidecar cert renew`: both issue one'

/** The names that the leaf should carry, or how they come from the root that it is issued under. */
export type WantedNames = readonly SubjectAltName[] | NamesUnder

export interface Keystore {
  readonly root: Root
  /** The leaf in force; its chain is leaf and root. */
  readonly bundle: CertificateBundle
  /** The file that another process puts in place last when it renews the leaf. */
  readonly leafFile: string
  /** What opening had to issue. */
  readonly issued: { readonly root: boolean; readonly leaf: boolean }
  /**
   * To be called every now and then, and when the leaf's file has changed: reads the folder again, and issues a leaf
   * under the same root when the present one is past two thirds of its life, carries other names or is unusable.
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

/** Reads root and leaf, or issues what is missing. Throws `InvalidFileError` with the mend where a person must act. */
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
  let lastRenewal: Promise<unknown> = Promise.resolve()

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
    get bundle() {
      return current.bundle
    },
    leafFile: paths.leafCert,
    issued,
    renewIfDue(names, now) {
      // One after the other: what was read earlier must not come into force after what was read later.
      const renewal = lastRenewal.then(() => renew(names, now))
      lastRenewal = renewal.catch(() => undefined)
      return renewal
    },
  }
}

/** The root of a folder, for commands: issues and writes nothing. Throws `InvalidFileError`, also when there is none. */
export async function readRoot(folder: string): Promise<Root> {
  const paths = pathsIn(folder)
  // Without the keys: whoever asks which root to trust need not be allowed to read them.
  const texts = await readFiles({ rootCert: paths.rootCert, marker: paths.marker, leafCert: paths.leafCert })
  if (knowsNoRoot(texts)) throw new InvalidFileError(paths.rootCert, NO_ROOT_YET)
  if (texts.rootCert === undefined) throw lost(paths.rootCert, texts)
  return parseRoot({ certPem: texts.rootCert, marker: texts.marker }, paths)
}

export interface StoredLeaf {
  readonly file: string
  readonly leaf: LeafFacts
}

/** The leaf of a folder and its file, for commands, also one that has expired. Throws `InvalidFileError`. */
export async function readLeaf(folder: string): Promise<StoredLeaf> {
  const { leafCert: file } = pathsIn(folder)
  const { leafCert } = await readFiles({ leafCert: file })
  if (leafCert === undefined) throw new InvalidFileError(file, NO_LEAF)
  return { file, leaf: parseLeaf(leafCert, file) }
}

export interface RenewalRequest {
  readonly folder: string
  /** For a folder whose leaf does not tell. Otherwise its names are kept: the sidecar knows them best. */
  readonly names: NamesUnder
  readonly now: Date
}

export interface RenewedLeaf extends StoredLeaf {
  readonly root: Root
}

/** Issues a leaf under the root of the folder, whether or not one is due. Never issues a root. Throws `InvalidFileError`. */
export async function renewLeaf({ folder, names, now }: RenewalRequest): Promise<RenewedLeaf> {
  await readRoot(folder)
  const paths = pathsIn(folder)
  return underLock(paths, async (lock) => {
    const { root, keyPem } = rootIn(await readFiles(paths), { paths, now })
    const previous = await readLeaf(folder).catch(() => undefined)
    const kept = previous?.leaf.subjectAltNames ?? []
    const request = { root, rootKeyPem: keyPem, names: kept.length > 0 ? kept : names(root), now }
    const { leaf } = await issueInto(paths, request, lock)
    return { root, file: paths.leafCert, leaf }
  })
}

function namesUnder(names: WantedNames): NamesUnder {
  return typeof names === 'function' ? names : () => names
}
