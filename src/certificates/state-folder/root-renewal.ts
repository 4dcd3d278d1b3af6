// Root renewal: another root takes the place of the present one, and no client notices.
//
// Order matters. next-root.key and next-root.crt come first, the second holding the new root and all that cross.crt will
// hold. From then on the renewal is decided, and whoever takes the folder's lock next finishes it: cross.crt, leaf.key,
// leaf.crt, root.key, root.crt, root.sha256; then next-root.crt goes, and next-root.key last. The leaf is changed before
// the root, so that what is served is at every moment accepted by clients that trust what root.crt says: a leaf under
// the new root with its cross certificate is good for the present root as well. next-root.key alone was never used.

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
import { crossSign, issueRoot, type CrossRequest } from '../../pki/issue.ts'
import type { SubjectAltName } from '../../pki/names.ts'
import { certificatesIn } from '../../pki/pem.ts'
import { foreignRoot, refuseEarlyClock } from './root-refusals.ts'
import { readFiles, remove, write, writePair, type StatePaths, type StateTexts } from './state-files.ts'

export interface RootRenewal {
  readonly issuer: Issuer
  readonly now: Date
  /** What the new root is to vouch for. Absent: any name. */
  readonly constrainTo?: readonly SubjectAltName[] | undefined
}

/**
 * Decides the renewal, for `finishRootRenewal` to do the rest. Throws `InvalidFileError`, and changes nothing, when the
 * present root cannot lead to another one.
 */
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
  const next = issueRoot({ now, constrainTo })
  const crossPem = crossUnder(root, { certPem: next.certPem, signer: { certPem: root.pem, keyPem } })
  const certPem = next.certPem + crossPem + root.pem + formatEarlier(earlier)
  const files = { certFile: paths.nextRootCert, keyFile: paths.nextRootKey }
  await writePair(files, { certPem, keyPem: next.keyPem }, lock)
}

// Once written, a certificate that does not lead to the present root would stand in the way of every start. A person may
// have put a root of another program there, with a key that we sign with otherwise than its certificate says, or not.
function crossUnder(root: Root, request: CrossRequest): string {
  const crossPem = signedOrRefused(root, request)
  const [cross, signer] = [new X509Certificate(crossPem), new X509Certificate(root.pem)]
  if (!hasIssued(signer, cross)) throw foreignRoot(root)
  return crossPem
}

function signedOrRefused(root: Root, request: CrossRequest): string {
  try {
    return crossSign(request)
  } catch (cause) {
    throw foreignRoot(root, cause)
  }
}

export interface Finish {
  /** For a folder whose leaf does not tell. */
  readonly names: NamesUnder
  readonly now: Date
}

/** True while a renewal is under way, or was left behind by one that broke off. */
export function isRenewingRoot({ nextRootCert, nextRootKey }: StateTexts): boolean {
  return nextRootCert !== undefined || nextRootKey !== undefined
}

/** Finishes a renewal that was decided, and clears away one that was not. Throws `InvalidFileError`. */
export async function finishRootRenewal(
  paths: StatePaths,
  { names, now }: Finish,
  lock: FileLock,
): Promise<void> {
  const texts = await readFiles(paths)
  if (texts.nextRootCert !== undefined) {
    const { issuer, crossText } = nextIssuer(texts.nextRootCert, texts, { paths, now })
    await write(paths.crossCert, crossText, { mode: 0o644, lock })
    const { authority, keyPem } = issuer
    await issueInto(paths, { issuer, names: namesToKeep(texts, { names, authority }), now }, lock)
    // Here the key of the root before is gone: who trusts that root is vouched for by the cross certificate alone.
    const files = { certFile: paths.rootCert, keyFile: paths.rootKey }
    await writePair(files, { certPem: authority.root.pem, keyPem }, lock)
    await write(paths.marker, `${authority.root.fingerprint}\n`, { mode: 0o644, lock })
    await remove(paths.nextRootCert, lock)
  }
  if (isRenewingRoot(texts)) await remove(paths.nextRootKey, lock)
}

function nextIssuer(
  text: string,
  texts: StateTexts,
  { paths, now }: { readonly paths: StatePaths; readonly now: Date },
): { readonly issuer: Issuer; readonly crossText: string } {
  const file = paths.nextRootCert
  const hint = giveUp(paths)
  const [next, ...crosses] = certificatesIn(text).map((pem) => parseCertificate(pem, file, hint))
  if (next === undefined || !isToFollow(texts, { next, signer: crosses[1] }, paths)) {
    throw new InvalidFileError(file, `is to follow another root than ${paths.rootCert}: ${hint}`)
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

// A leftover of one root beside another root, as after a backup was put back, must not replace that.
function isToFollow({ rootCert }: StateTexts, { next, signer }: Succession, paths: StatePaths): boolean {
  if (rootCert === undefined) return true
  const present = fingerprint256(parseCertificate(rootCert, paths.rootCert))
  return present === next.fingerprint256 || present === signer?.fingerprint256
}

function giveUp({ nextRootCert, nextRootKey }: StatePaths): string {
  return `put back from a backup what belongs together, or remove ${nextRootCert} and ${nextRootKey}: the root stays the one that it is then`
}

// Handshakes carry the whole chain, and GnuTLS gives up at sixteen certificates.
const MAX_EARLIER = 8

function refuseUnlessRenewable({ root, earlier }: Authority): void {
  if (isLimitedToLeaves(new X509Certificate(root.pem))) {
    throw new InvalidFileError(
      root.file,
      `may sign leaves alone (pathlen), since an earlier version issued it, so clients that trust it would refuse whatever ` +
        `another root signs; nothing was changed. For another root, ${START_OVER}`,
    )
  }
  const oldest = earlier.at(-1)
  if (oldest !== undefined && earlier.length >= MAX_EARLIER) {
    throw new InvalidFileError(
      root.file,
      `follows ${earlier.length} earlier roots that clients may trust, and some take no longer chain; nothing was changed. ` +
        `Wait until the oldest ends on ${oldest.notAfter.toISOString()}, or ${START_OVER}`,
    )
  }
}

// 2.5.29.19, RFC 5280 §4.2.1.9. Every certificate between root and leaf counts.
const BASIC_CONSTRAINTS = Buffer.from([0x55, 0x1d, 0x13])

function isLimitedToLeaves({ raw }: X509Certificate): boolean {
  return within(extensionValue(raw, BASIC_CONSTRAINTS)).some(({ tag }) => tag === DER.integer)
}
