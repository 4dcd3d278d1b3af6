// Replaces the root with a new root without breaking any client.
//
// Order matters. next-root.key is written first. Without next-root.crt it was never used, and is removed.
// next-root.crt also holds the future cross.crt. When it exists, the next process with the lock finishes the renewal.
// It writes cross.crt, leaf.key, leaf.crt, root.key, root.crt, root.sha256, then removes next-root.crt, next-root.key.
// The leaf comes before the root, and the cross certificate makes it valid under both, so every client accepts it.

import { X509Certificate } from 'node:crypto'

import { InvalidFileError } from '../../errors/errors.ts'
import type { FileLock } from '../../files/file-lock.ts'
import { issueInto, namesToKeep, type Issuer, type NamesUnder } from './authority.ts'
import {
  START_OVER,
  fingerprint256,
  hasIssued,
  parseCertificate,
  parsePrivateKey,
  parseRoot,
  type Root,
} from '../../pki/certificate.ts'
import { formatEarlier, parseEarlier, type Authority } from '../../pki/cross-certificates.ts'
import { DER, extensionValue, within } from '../../pki/der.ts'
import type { CrossRequest } from '../../pki/issue.ts'
import type { SubjectAltName } from '../../pki/names.ts'
import { certificatesIn } from '../../pki/pem.ts'
import { foreignRoot, refuseEarlyClock } from './root-refusals.ts'
import {
  isRootShared,
  readFiles,
  remove,
  write,
  writePair,
  type StatePaths,
  type StateTexts,
} from './state-files.ts'

export interface RootRenewal {
  readonly issuer: Issuer
  readonly now: Date
  readonly constrainTo?: readonly SubjectAltName[] | undefined
}

/** Throws `InvalidFileError`, and changes nothing, if the present root cannot sign another root. */
export async function beginRootRenewal(
  paths: StatePaths,
  { issuer, now, constrainTo }: RootRenewal,
  lock: FileLock,
): Promise<void> {
  refuseEarlyClock(paths.rootCert, now)
  refuseUnlessRenewable(issuer.authority)
  const {
    keyPem,
    authority: { root, earlier },
  } = issuer
  const { issueRoot } = await import('../../pki/issue.ts')
  const next = issueRoot({ now, constrainTo })
  const crossPem = await crossUnder(root, { certPem: next.certPem, signer: { certPem: root.pem, keyPem } })
  const certPem = next.certPem + crossPem + root.pem + formatEarlier(earlier)
  const files = { certFile: paths.nextRootCert, keyFile: paths.nextRootKey }
  await writePair(files, { certPem, keyPem: next.keyPem }, lock)
}

// A cross certificate that is not valid under the present root would make every later start fail.
async function crossUnder(root: Root, request: CrossRequest): Promise<string> {
  const crossPem = await signedOrRefused(root, request)
  const [cross, signer] = [new X509Certificate(crossPem), new X509Certificate(root.pem)]
  if (!hasIssued(signer, cross)) throw foreignRoot(root)
  return crossPem
}

async function signedOrRefused(root: Root, request: CrossRequest): Promise<string> {
  const { crossSign } = await import('../../pki/issue.ts')
  try {
    return crossSign(request)
  } catch (cause) {
    throw foreignRoot(root, cause)
  }
}

export interface Finish {
  readonly names: NamesUnder
  readonly now: Date
}

/** Also true after a renewal that stopped halfway. A shared root is renewed elsewhere. */
export function isRenewingRoot({ nextRootCert, nextRootKey }: StateTexts, paths: StatePaths): boolean {
  if (isRootShared(paths)) return false
  return nextRootCert !== undefined || nextRootKey !== undefined
}

/** Also removes the files of an undecided renewal. Throws `InvalidFileError`. */
export async function finishRootRenewal(
  paths: StatePaths,
  { names, now }: Finish,
  lock: FileLock,
): Promise<void> {
  const texts = await readFiles(paths)
  if (!isRenewingRoot(texts, paths)) return
  if (texts.nextRootCert !== undefined) {
    const { issuer, crossText } = nextIssuer(texts.nextRootCert, texts, { paths, now })
    await write(paths.crossCert, crossText, { mode: 0o644, lock })
    const { authority, keyPem } = issuer
    await issueInto(paths, { issuer, names: namesToKeep(texts, { names, authority }), now }, lock)
    // This deletes the key of the earlier root, whose clients now depend on the cross certificate.
    const files = { certFile: paths.rootCert, keyFile: paths.rootKey }
    await writePair(files, { certPem: authority.root.pem, keyPem }, lock)
    await write(paths.marker, `${authority.root.fingerprint}\n`, { mode: 0o644, lock })
    await remove(paths.nextRootCert, lock)
  }
  await remove(paths.nextRootKey, lock)
}

function nextIssuer(
  text: string,
  texts: StateTexts,
  { paths, now }: { readonly paths: StatePaths; readonly now: Date },
): { readonly issuer: Issuer; readonly crossText: string } {
  const file = paths.nextRootCert
  const hint = cancelHint(paths)
  const [next, ...crosses] = certificatesIn(text).map((pem) => parseCertificate(pem, file, hint))
  if (next === undefined || !isSuccessor(texts, { next, signer: crosses[1] }, paths)) {
    throw new InvalidFileError(file, `belongs to another root than ${paths.rootCert}: ${hint}`)
  }
  const keys = [texts.nextRootKey, texts.rootKey].filter((key) => key !== undefined)
  const keyPem = keys.find((key) => next.checkPrivateKey(parsePrivateKey(key, paths.nextRootKey, hint)))
  if (keyPem === undefined) {
    throw new InvalidFileError(paths.nextRootKey, `does not belong to ${file}: ${hint}`)
  }
  const root = parseRoot({ certPem: next.toString() }, paths)
  const crossText = crosses.map((cross) => cross.toString()).join('')
  const earlier = parseEarlier(crossText, { root, file, now, hint })
  return { issuer: { authority: { root, earlier }, keyPem }, crossText }
}

interface Succession {
  readonly next: X509Certificate
  readonly signer: X509Certificate | undefined
}

// After a restore from a backup, these files may belong to another root, which they must not replace.
function isSuccessor({ rootCert }: StateTexts, { next, signer }: Succession, paths: StatePaths): boolean {
  if (rootCert === undefined) return true
  const present = fingerprint256(parseCertificate(rootCert, paths.rootCert))
  return present === next.fingerprint256 || present === signer?.fingerprint256
}

function cancelHint({ nextRootCert, nextRootKey }: StatePaths): string {
  return `restore matching files from a backup, or remove ${nextRootCert} and ${nextRootKey} to keep the present root`
}

// A handshake contains the whole chain, and GnuTLS accepts at most sixteen certificates.
const MAX_EARLIER = 8

function refuseUnlessRenewable({ root, earlier }: Authority): void {
  if (isLimitedToLeaves(new X509Certificate(root.pem))) {
    throw new InvalidFileError(
      root.file,
      `may sign only leaves (pathlen), because an earlier version issued it. Clients that trust it would refuse every ` +
        `leaf of a new root. Nothing was changed. To get a new root, ${START_OVER}`,
    )
  }
  const oldest = earlier.at(-1)
  if (oldest !== undefined && earlier.length >= MAX_EARLIER) {
    throw new InvalidFileError(
      root.file,
      `follows ${earlier.length} earlier roots that clients may trust, and some clients refuse longer chains. Nothing was changed. ` +
        `Wait until the oldest root expires on ${oldest.notAfter.toISOString()}, or ${START_OVER}`,
    )
  }
}

// 2.5.29.19, RFC 5280 §4.2.1.9. `pathlen` counts every certificate between root and leaf.
const BASIC_CONSTRAINTS = Buffer.from([0x55, 0x1d, 0x13])

function isLimitedToLeaves({ raw }: X509Certificate): boolean {
  return within(extensionValue(raw, BASIC_CONSTRAINTS)).some(({ tag }) => tag === DER.integer)
}
