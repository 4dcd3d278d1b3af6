// Own bundle: a certificate that somebody else issued. The texts of its files become a bundle that can be served, or an
// error that says which file to fix and how.

import { createPrivateKey, X509Certificate, type KeyObject } from 'node:crypto'
import { createSecureContext } from 'node:tls'

import { errorMessage, InvalidFileError } from '../errors/errors.ts'
import {
  fingerprint256,
  parseBundle,
  parseCertificate,
  parsePrivateKey,
  type BundleOrigin,
  type CertificateBundle,
  type Root,
} from './certificate.ts'
import { certificatesIn } from './pem.ts'

export interface OwnTexts {
  readonly certPem: string
  readonly keyPem: string
  /** What opens the key, byte by byte. */
  readonly keyPassword?: Buffer | undefined
}

export interface OwnOrigin extends BundleOrigin {
  readonly keyPasswordFile: string | undefined
}

/** What we serve, with its key decrypted, and the root in it if there is one. */
export interface OwnCertificate {
  readonly bundle: CertificateBundle
  readonly anchor: Root | undefined
}

/**
 * A mismatch is a value and not an exception, because every replacement passes through one: two files cannot be changed
 * at the same moment.
 */
export type OwnPair =
  | { readonly kind: 'pair'; readonly certificate: OwnCertificate }
  | { readonly kind: 'mismatch'; readonly error: InvalidFileError }

/** Throws `InvalidFileError` when one of the texts is no good whatever the others are. */
export function parseOwnPair(texts: OwnTexts, origin: OwnOrigin): OwnPair {
  const { certFile, keyFile, now } = origin
  const chain = parseOwnChain(texts.certPem, certFile)
  const opened = openKey(texts, origin)
  if (opened.kind === 'mismatch') return opened
  const { key } = opened
  const position = chain.certificates.findIndex((certificate) => certificate.checkPrivateKey(key))
  if (position === -1) {
    const reason = `does not belong to ${certFile}: put the two in place that were issued together`
    return { kind: 'mismatch', error: new InvalidFileError(keyFile, reason) }
  }
  if (position > 0) {
    throw new InvalidFileError(
      certFile,
      `has the certificate of ${keyFile} as number ${position + 1}: put it first, behind it the one that issued it, and so on`,
    )
  }
  const bundle = parseBundle(chain.pem, key.export({ format: 'pem', type: 'pkcs8' }).toString(), origin)
  if (bundle.leaf.notBefore > now) {
    throw new InvalidFileError(
      certFile,
      `is not valid before ${bundle.leaf.notBefore.toISOString()}: set this machine's clock if it is behind, or wait till then`,
    )
  }
  refuseUseless(chain.certificates[0], certFile)
  tryToServe(bundle, certFile)
  return { kind: 'pair', certificate: { bundle, anchor: chain.anchor } }
}

export interface OwnChain {
  /** In the order of the file: the leaf should be the first. */
  readonly certificates: readonly [X509Certificate, ...X509Certificate[]]
  /** These certificates alone: the file may hold comments, and even the key. */
  readonly pem: string
  /** The last one if it signs itself: what clients can be told to trust. */
  readonly anchor: Root | undefined
}

/** The certificates of a file, as they stand in it. Looks neither at a key nor at the clock. Throws `InvalidFileError`. */
export function parseOwnChain(certPem: string, certFile: string): OwnChain {
  const [first = '', ...others] = certificatesIn(certPem)
  const certificates: OwnChain['certificates'] = [
    parseCertificate(first, certFile),
    ...others.map((pem, index) => parseFurther(pem, { certFile, number: index + 2 })),
  ]
  const pem = certificates.map((certificate) => certificate.toString()).join('')
  return { certificates, pem, anchor: anchorOf(certificates, certFile) }
}

function parseFurther(
  pem: string,
  { certFile, number }: { readonly certFile: string; readonly number: number },
): X509Certificate {
  try {
    return new X509Certificate(pem)
  } catch (cause) {
    const reason = `holds a certificate, number ${number}, that cannot be read: have the whole chain written anew`
    throw new InvalidFileError(certFile, reason, { cause })
  }
}

// By name and signature only. OpenSSL's own question, "did it issue that one", wants a key usage that self-signed server
// certificates lack, and clients take those for roots all the same.
function anchorOf(certificates: readonly X509Certificate[], certFile: string): Root | undefined {
  const last = certificates.at(-1)
  if (last === undefined || last.subject !== last.issuer || !last.verify(last.publicKey)) return undefined
  const notAfter = new Date(last.validTo)
  return { file: certFile, pem: last.toString(), fingerprint: fingerprint256(last), notAfter }
}

type OpenedKey = { readonly kind: 'key'; readonly key: KeyObject } | Extract<OwnPair, { kind: 'mismatch' }>

function openKey({ keyPem, keyPassword }: OwnTexts, { keyFile, keyPasswordFile }: OwnOrigin): OpenedKey {
  // OpenSSL reads over an editor's byte order mark, but it would hide the first line from the question below.
  const pem = keyPem.replace(/^\uFEFF/, '')
  if (!/^(-----BEGIN ENCRYPTED|Proc-Type: 4,ENCRYPTED)/m.test(pem)) {
    return { kind: 'key', key: parsePrivateKey(pem, keyFile) }
  }
  if (keyPasswordFile === undefined || keyPassword === undefined) {
    throw new InvalidFileError(
      keyFile,
      'is encrypted: name the file that holds its password with SIDECAR_TLS_KEY_PASSWORD_FILE, or store it unencrypted',
    )
  }
  try {
    return { kind: 'key', key: createPrivateKey({ key: pem, passphrase: keyPassword }) }
  } catch (cause) {
    // Which of the two is wrong cannot be told, and these two files are replaced one after the other as well.
    const reason = `does not open ${keyFile}: put that key's password in it, on one line; or the key is damaged, or encrypted in a way that OpenSSL gave up`
    return { kind: 'mismatch', error: new InvalidFileError(keyPasswordFile, reason, { cause }) }
  }
}

const SERVER_AUTH = '1.3.6.1.5.5.7.3.1'
const ANY_PURPOSE = '2.5.29.37.0'
const KINDS_OF_KEYS = ['rsa', 'prime256v1', 'secp384r1', 'secp521r1', 'ed25519']

// OpenSSL would serve these, and no client would connect: the last good one is worth more.
function refuseUseless({ keyUsage, publicKey }: X509Certificate, certFile: string): void {
  // Node's name for the extended key usage. Its types have it always, and it is missing from most certificates.
  const purposes = keyUsage as readonly string[] | undefined
  if (purposes !== undefined && !purposes.some((one) => one === SERVER_AUTH || one === ANY_PURPOSE)) {
    throw new InvalidFileError(
      certFile,
      'is not meant for servers (its extended key usage lacks serverAuth): have it issued for one',
    )
  }
  const kind = publicKey.asymmetricKeyDetails?.namedCurve ?? publicKey.asymmetricKeyType ?? 'unknown'
  if (!KINDS_OF_KEYS.includes(kind)) {
    throw new InvalidFileError(
      certFile,
      `has a key of a kind that docker does not take (${kind}): have it issued anew, with a P-256 or an RSA key of 2048 bits`,
    )
  }
}

// The listener must not be the first to find out, when the one before is gone already: OpenSSL refuses some that read
// well, as those of short keys.
function tryToServe({ certPem, keyPem }: CertificateBundle, certFile: string): void {
  try {
    createSecureContext({ cert: certPem, key: keyPem, minVersion: 'TLSv1.2' })
  } catch (cause) {
    const reason = `cannot be served, says OpenSSL (${errorMessage(cause)}): have it issued anew, with a P-256 or an RSA key of 2048 bits`
    throw new InvalidFileError(certFile, reason, { cause })
  }
}
