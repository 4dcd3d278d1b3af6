// Keystore: a folder that holds root and leaf. Both are read, or issued and written.
//
// Order matters. A first start writes root.key, root.crt, root.sha256, leaf.key, leaf.crt, each whole and in place
// before the next, so that what a crash leaves behind tells how far it came: a root.key alone was never used and is
// replaced; from root.crt on, a client may know the root, and it is never replaced without a person's doing.

import { mkdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'

import { withFileLock } from '../file-lock.ts'
import { InvalidFileError } from '../errors.ts'
import type { Log } from '../log.ts'
import { BEGIN_AGAIN, isDue, isIssuedBy, parseBundle, parseRoot } from './certificate.ts'
import type { BundleOrigin, CertificateBundle, Root } from './certificate.ts'
import { issueLeaf, issueRoot, type IssuedCertificate } from './issue.ts'
import type { SubjectAltName } from './names.ts'
import { readIfPresent, refuse, tighten, write } from './state-files.ts'

const NO_ROOT_YET = 'does not exist yet; start the sidecar once: it issues its root at the first start'

export interface Keystore {
  readonly root: Root
  /** The leaf in force; its chain is leaf and root. */
  readonly bundle: CertificateBundle
  /** What opening had to issue. */
  readonly issued: { readonly root: boolean; readonly leaf: boolean }
  /**
   * To be called every now and then: reads the folder again, and issues a leaf under the same root when the present one
   * is past two thirds of its life, carries other names or is unusable. Resolves to the new bundle, or to undefined
   * when the one in force stays. Never issues a root. Rejects with `InvalidFileError`; then nothing has changed.
   */
  renewIfDue(names: readonly SubjectAltName[], now: Date): Promise<CertificateBundle | undefined>
}

export interface KeystoreOptions {
  readonly folder: string
  readonly names: readonly SubjectAltName[]
  readonly now: Date
  readonly log?: Log | undefined
}

/** Reads root and leaf, or issues what is missing. Throws `InvalidFileError` with the mend where a person must act. */
export async function openKeystore({ folder, ...wanted }: KeystoreOptions): Promise<Keystore> {
  const paths = pathsIn(folder)
  await mkdir(folder, { recursive: true, mode: 0o700 }).catch(refuse(folder, 'written'))
  await tighten(paths.rootKey, wanted.log)
  await tighten(paths.leafKey, wanted.log)

  const first = knowsNoRoot(await readFiles(paths)) ? await settleFirst(paths, wanted) : undefined
  let current = first?.settled ?? (await settle(paths, wanted))
  let lastRenewal: Promise<unknown> = Promise.resolve()

  async function renew(names: readonly SubjectAltName[], now: Date): Promise<CertificateBundle | undefined> {
    const settled = await settle(paths, { ...wanted, names, now })
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
    issued: { root: first?.issuedRoot ?? false, leaf: current.isNew },
    renewIfDue(names, now) {
      // One after the other: two at once would leave the key of one beside the certificate of the other.
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
  if (knowsNoRoot(texts)) {
    throw new InvalidFileError(paths.rootCert, NO_ROOT_YET)
  }
  if (texts.rootCert === undefined) throw lost(paths.rootCert, texts)
  return parseRoot({ certPem: texts.rootCert, marker: texts.marker }, paths)
}

type Paths = ReturnType<typeof pathsIn>
type Texts = Readonly<Partial<Record<keyof Paths, string>>>
type Wanted = Omit<KeystoreOptions, 'folder'>

interface Settled {
  readonly root: Root
  readonly bundle: CertificateBundle
  readonly isNew: boolean
}

// Two sidecars may start at once on one empty folder: one issues, the other waits and finds it done.
async function settleFirst(paths: Paths, wanted: Wanted): Promise<{ settled: Settled; issuedRoot: boolean }> {
  const locked = withFileLock(paths.rootCert, async () => {
    const issuedRoot = knowsNoRoot(await readFiles(paths))
    if (issuedRoot) await writePair(paths.rootCert, paths.rootKey, issueRoot(wanted))
    return { settled: await settle(paths, wanted), issuedRoot }
  })
  return locked.catch(refuse(dirname(paths.rootCert), 'written'))
}

async function settle(paths: Paths, wanted: Wanted): Promise<Settled> {
  const texts = await readFiles(paths)
  if (texts.rootCert === undefined) throw lost(paths.rootCert, texts)
  if (texts.rootKey === undefined) throw lost(paths.rootKey, texts)
  const root = parseRoot({ certPem: texts.rootCert, keyPem: texts.rootKey, marker: texts.marker }, paths)
  if (root.notAfter <= wanted.now) {
    throw new InvalidFileError(root.file, `expired on ${root.notAfter.toISOString()}: ${BEGIN_AGAIN}`)
  }
  if (texts.marker === undefined) await write(paths.marker, `${root.fingerprint}\n`, 0o644)

  const origin = { certFile: paths.leafCert, keyFile: paths.leafKey, now: wanted.now }
  const present = usableLeaf(texts, root, origin)
  if (present !== undefined && !isDue(present, root, wanted)) return { root, bundle: present, isNew: false }

  const leaf = issueLeaf({ ...wanted, root: { certPem: root.pem, keyPem: texts.rootKey } })
  const bundle = parseBundle(leaf.certPem + root.pem, leaf.keyPem, origin)
  await writePair(paths.leafCert, paths.leafKey, bundle)
  return { root, bundle, isNew: true }
}

/** The leaf as it lies there, or undefined when another is needed: that costs no client its trust. */
function usableLeaf(texts: Texts, root: Root, origin: BundleOrigin): CertificateBundle | undefined {
  try {
    const bundle = parseBundle(texts.leafCert ?? '', texts.leafKey ?? '', origin)
    return isIssuedBy(bundle, root) ? bundle : undefined
  } catch (error) {
    if (error instanceof InvalidFileError) return undefined
    throw error
  }
}

/** True for an empty folder, and for one where a first start came no further than the root's key. */
function knowsNoRoot({ rootCert, marker, leafKey, leafCert }: Texts): boolean {
  return [rootCert, marker, leafKey, leafCert].every((text) => text === undefined)
}

// A silently new root would break every client, so a person decides.
function lost(file: string, { leafCert }: Texts): InvalidFileError {
  const hasCopy = file.endsWith('.crt') && leafCert !== undefined
  const copy = hasCopy ? ' (leaf.crt holds it too, as its last certificate)' : ''
  return new InvalidFileError(
    file,
    `is missing, and clients may trust this root already: put it back from a backup${copy}, or ${BEGIN_AGAIN}`,
  )
}

function pathsIn(folder: string) {
  return {
    rootKey: join(folder, 'root.key'),
    rootCert: join(folder, 'root.crt'),
    marker: join(folder, 'root.sha256'),
    leafKey: join(folder, 'leaf.key'),
    leafCert: join(folder, 'leaf.crt'),
  }
}

async function readFiles(paths: Partial<Paths>): Promise<Texts> {
  const reads = Object.entries(paths).map(async ([part, file]) => [part, await readIfPresent(file)] as const)
  return Object.fromEntries((await Promise.all(reads)).filter(([, text]) => text !== undefined))
}

// The key first: see the order above.
async function writePair(certFile: string, keyFile: string, pair: IssuedCertificate): Promise<void> {
  await write(keyFile, pair.keyPem, 0o600)
  await write(certFile, pair.certPem, 0o644)
}
