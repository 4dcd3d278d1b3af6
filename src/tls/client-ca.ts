// Client CA: the authorities whose client certificates are accepted. Text in, a set that OpenSSL takes or an error out.

import type { X509Certificate } from 'node:crypto'
import { createSecureContext } from 'node:tls'

import { errorMessage, InvalidFileError } from '../errors.ts'
import { fingerprint256 } from './certificate.ts'
import { parseOwnChain } from './own-bundle.ts'

export interface ClientCa {
  /** The certificates alone, without what else the file holds. Never empty: without any, Node trusts the whole web's. */
  readonly pem: string
  /** SHA-256, as `fingerprint256` gives it, in the order of the file. */
  readonly fingerprints: readonly string[]
  /** When the first of them ends. */
  readonly notAfter: Date
}

export interface ClientCaOrigin {
  readonly file: string
  readonly now: Date
}

// All are listed to every client in every handshake.
const MAX_AUTHORITIES = 100

/** Throws `InvalidFileError` unless each certificate is an authority that OpenSSL would accept a client's under now. */
export function parseClientCa(text: string, { file, now }: ClientCaOrigin): ClientCa {
  const { certificates, pem } = parseOwnChain(text, file)
  if (certificates.length > MAX_AUTHORITIES) {
    throw new InvalidFileError(
      file,
      `holds ${certificates.length} certificates, and at most ${MAX_AUTHORITIES} are taken: put only those there that sign your clients' certificates`,
    )
  }
  certificates.forEach((certificate, index) => {
    const objection = objectionTo(certificate, { all: certificates, now })
    if (objection !== undefined)
      throw new InvalidFileError(file, `certificate number ${index + 1} ${objection}`)
  })
  tryToTrust(pem, file)
  return {
    pem,
    fingerprints: certificates.map(fingerprint256),
    notAfter: new Date(Math.min(...certificates.map(({ validTo }) => Date.parse(validTo)))),
  }
}

/** Whether the same authorities are meant, in whatever order. */
export function isSameClientCa(one: ClientCa, other: ClientCa): boolean {
  const asSet = ({ fingerprints }: ClientCa) => [...new Set(fingerprints)].toSorted().join()
  return asSet(one) === asSet(other)
}

interface Company {
  readonly all: readonly X509Certificate[]
  readonly now: Date
}

function objectionTo(certificate: X509Certificate, { all, now }: Company): string | undefined {
  if (!certificate.ca) {
    return "is no authority (CA:TRUE): put the certificate there that signed your clients' certificates, not one of theirs"
  }
  const [notBefore, notAfter] = [new Date(certificate.validFrom), new Date(certificate.validTo)]
  if (notAfter <= now) {
    return `expired on ${notAfter.toISOString()}: take it out, or put its renewed certificate in its place`
  }
  if (notBefore > now) {
    return `is not valid before ${notBefore.toISOString()}: set this machine's clock if it is behind, or wait till then`
  }
  // OpenSSL follows a chain to a root that signs itself, and refuses every client whose chain ends before.
  if (!all.some((issuer) => hasIssued(issuer, certificate))) {
    return 'was issued by one that is not in the file: add that one too, up to the root that signs itself'
  }
  return undefined
}

function hasIssued(issuer: X509Certificate, certificate: X509Certificate): boolean {
  return certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey)
}

// The listener must not be the first to find out: by then the ones before are gone.
function tryToTrust(pem: string, file: string): void {
  try {
    createSecureContext({ ca: pem })
  } catch (cause) {
    throw new InvalidFileError(
      file,
      `cannot be used, says OpenSSL (${errorMessage(cause)}): have it issued anew`,
      {
        cause,
      },
    )
  }
}
