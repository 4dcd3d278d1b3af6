// Parses and checks the operator's certificate, key and password.

import { createPrivateKey, X509Certificate, type KeyObject } from 'node:crypto'
import { createSecureContext } from 'node:tls'

import { errorMessage, InvalidFileError } from '../errors/errors.ts'
import {
  fingerprint256,
  isEncryptedKey,
  parseBundle,
  parseCertificate,
  parsePrivateKey,
  type BundleOrigin,
  type CertificateBundle,
  type Root,
} from './certificate.ts'
import { certificatesIn } from './pem.ts'

export interface OperatorTexts {
  readonly certPem: string
  readonly keyPem: string
  readonly keyPassword?: Buffer | undefined
}

export interface OperatorOrigin extends BundleOrigin {
  readonly keyPasswordFile: string | undefined
}

/** The key is decrypted. `anchor` is the root of the chain, if the file holds it. */
export interface OperatorCertificate {
  readonly bundle: CertificateBundle
  readonly anchor: Root | undefined
}

/** A mismatch is no exception: two files cannot change at the same moment, so each replacement causes one. */
export type OperatorPair =
  | { readonly kind: 'pair'; readonly certificate: OperatorCertificate }
  | { readonly kind: 'mismatch'; readonly error: InvalidFileError }

/** Throws `InvalidFileError` when one of the texts is unusable by itself. */
export function parseOperatorPair(texts: OperatorTexts, origin: OperatorOrigin): OperatorPair {
  const { certFile, keyFile, now } = origin
  const chain = parseChain(texts.certPem, certFile)
  const opened = openKey(texts, origin)
  if (opened.kind === 'mismatch') return opened
  const { key } = opened
  const position = chain.certificates.findIndex((certificate) => certificate.checkPrivateKey(key))
  if (position === -1) {
    const reason = `does not belong to ${certFile}: use the certificate and key that were issued together`
    return { kind: 'mismatch', error: new InvalidFileError(keyFile, reason) }
  }
  if (position > 0) {
    throw new InvalidFileError(
      certFile,
      `has the certificate of ${keyFile} as number ${position + 1}: put it first, then its issuer, and so on`,
    )
  }
  const bundle = parseBundle(chain.pem, key.export({ format: 'pem', type: 'pkcs8' }).toString(), origin)
  if (bundle.leaf.notBefore > now) {
    throw new InvalidFileError(
      certFile,
      `is not valid before ${bundle.leaf.notBefore.toISOString()}: set this machine's clock if it is behind, or wait until then`,
    )
  }
  refuseUnusable(chain.certificates[0], certFile)
  assertOpenSslAccepts(bundle, certFile)
  return { kind: 'pair', certificate: { bundle, anchor: chain.anchor } }
}

export interface CertificateChain {
  /** In the order of the file. The leaf should be first. */
  readonly certificates: readonly [X509Certificate, ...X509Certificate[]]
  /** Only the certificates, because the file may also hold comments and the key. */
  readonly pem: string
  /** The last certificate if it is self-signed, because clients can trust it as a root. */
  readonly anchor: Root | undefined
}

/** Ignores keys and the clock. Throws `InvalidFileError`. */
export function parseChain(certPem: string, certFile: string): CertificateChain {
  const [first = '', ...others] = certificatesIn(certPem)
  const certificates: CertificateChain['certificates'] = [
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
    const reason = `holds an unreadable certificate, number ${number}: write the whole chain again`
    throw new InvalidFileError(certFile, reason, { cause })
  }
}

// Does not call `checkIssued`, which demands a key usage that a self-signed server certificate may lack.
function anchorOf(certificates: readonly X509Certificate[], certFile: string): Root | undefined {
  const last = certificates.at(-1)
  if (last === undefined || last.subject !== last.issuer || !last.verify(last.publicKey)) return undefined
  const notAfter = new Date(last.validTo)
  return { file: certFile, pem: last.toString(), fingerprint: fingerprint256(last), notAfter }
}

type OpenedKey =
  { readonly kind: 'key'; readonly key: KeyObject } | Extract<OperatorPair, { kind: 'mismatch' }>

function openKey(
  { keyPem, keyPassword }: OperatorTexts,
  { keyFile, keyPasswordFile }: OperatorOrigin,
): OpenedKey {
  // OpenSSL skips a byte order mark, but the check for encryption needs the first line without it.
  const pem = keyPem.replace(/^\uFEFF/, '')
  if (!isEncryptedKey(pem)) {
    return { kind: 'key', key: parsePrivateKey(pem, keyFile) }
  }
  if (keyPasswordFile === undefined || keyPassword === undefined) {
    throw new InvalidFileError(
      keyFile,
      'is encrypted: set SIDECAR_TLS_KEY_PASSWORD_FILE to the file with its password, or store the key unencrypted',
    )
  }
  try {
    return { kind: 'key', key: createPrivateKey({ key: pem, passphrase: keyPassword }) }
  } catch (cause) {
    // Key and password are replaced one after the other too, so this may be a mismatch.
    const reason = `does not decrypt ${keyFile}: write the password of that key on one line; if it is right, the key is damaged or its encryption is too old for OpenSSL`
    return { kind: 'mismatch', error: new InvalidFileError(keyPasswordFile, reason, { cause }) }
  }
}

const SERVER_AUTH = '1.3.6.1.5.5.7.3.1'
const ANY_PURPOSE = '2.5.29.37.0'
const ACCEPTED_KEY_KINDS = ['rsa', 'prime256v1', 'secp384r1', 'secp521r1', 'ed25519']

// OpenSSL would serve these certificates, but every client would reject them.
function refuseUnusable({ keyUsage, publicKey }: X509Certificate, certFile: string): void {
  // Node calls the extended key usage `keyUsage`. Many certificates have none, although the type says otherwise.
  const purposes = keyUsage as readonly string[] | undefined
  if (purposes !== undefined && !purposes.some((one) => one === SERVER_AUTH || one === ANY_PURPOSE)) {
    throw new InvalidFileError(
      certFile,
      'is not a server certificate (its extended key usage lacks serverAuth): request a certificate for a server',
    )
  }
  const kind = publicKey.asymmetricKeyDetails?.namedCurve ?? publicKey.asymmetricKeyType ?? 'unknown'
  if (!ACCEPTED_KEY_KINDS.includes(kind)) {
    throw new InvalidFileError(
      certFile,
      `has a key that docker does not accept (${kind}): request a certificate with a P-256 key or an RSA key of 2048 bits`,
    )
  }
}

// OpenSSL refuses to serve some certificates that it parses. Fails here, while the earlier certificate is in force.
function assertOpenSslAccepts({ certPem, keyPem }: CertificateBundle, certFile: string): void {
  try {
    createSecureContext({ cert: certPem, key: keyPem, minVersion: 'TLSv1.2' })
  } catch (cause) {
    const reason = `OpenSSL refuses to serve it (${errorMessage(cause)}): request a certificate with a P-256 key or an RSA key of 2048 bits`
    throw new InvalidFileError(certFile, reason, { cause })
  }
}
