// Parses the file of CAs whose client certificates are accepted.

import type { X509Certificate } from 'node:crypto'
import { createSecureContext } from 'node:tls'

import { errorMessage, InvalidFileError } from '../errors/errors.ts'
import { fingerprint256, hasIssued } from './certificate.ts'
import { parseChain } from './operator-bundle.ts'

export interface ClientCa {
  /** The certificates in force. Never empty, because Node would then trust every public CA. */
  readonly pem: string
  readonly fingerprints: readonly string[]
  /** The certificates in force that issued no other certificate of the file. Never empty. */
  readonly accepted: readonly X509Certificate[]
  /** Whether `accepted` contains every root in force, so that every certificate under a root is accepted. */
  readonly acceptsAllUnderRoots: boolean
  readonly leftOut: readonly LeftOutCertificate[]
  /** When the first certificate in force expires. */
  readonly notAfter: Date
}

/** A certificate that is not valid now, or whose issuer is not valid now. */
export interface LeftOutCertificate {
  /** Its position in the file. The first certificate is number 1. */
  readonly number: number
  readonly fingerprint: string
  readonly reason: string
  readonly hint: string
}

export interface ClientCaOrigin {
  readonly file: string
  readonly now: Date
}

// Every handshake sends the list of CAs to the client.
const MAX_AUTHORITIES = 100

/** Throws `InvalidFileError` unless every certificate is a CA, and one of them is usable now. */
export function parseClientCa(text: string, { file, now }: ClientCaOrigin): ClientCa {
  const { certificates } = parseChain(text, file)
  if (certificates.length > MAX_AUTHORITIES) {
    throw new InvalidFileError(
      file,
      `holds ${certificates.length} certificates; the limit is ${MAX_AUTHORITIES}: keep only the CAs that sign your clients' certificates`,
    )
  }
  certificates.forEach((certificate, index) => {
    const objection = objectionTo(certificate, { all: certificates, now })
    if (objection !== undefined)
      throw new InvalidFileError(file, `certificate number ${index + 1} ${objection}`)
  })
  // Does not reject the whole file, because a CA that the operator removed would then stay in force.
  const inForce = withIssuers(
    certificates.filter((certificate) => outsideValidity(certificate, now) === undefined),
  )
  const leftOut = certificates.flatMap((certificate, index) =>
    inForce.includes(certificate) ? [] : [leftOutOf(certificate, index + 1, now)],
  )
  // Compares with the whole file: a root must not become accepted when its intermediate expires.
  const accepted = inForce.filter((certificate) => isEndOfChain(certificate, certificates))
  if (accepted.length === 0) throw new InvalidFileError(file, describeNoneUsable(leftOut))
  const pem = inForce.map((certificate) => certificate.toString()).join('')
  assertOpenSslAccepts(pem, file)
  return {
    pem,
    fingerprints: inForce.map(fingerprint256),
    accepted,
    acceptsAllUnderRoots: inForce.every((one) => !hasIssued(one, one) || accepted.includes(one)),
    leftOut,
    notAfter: new Date(Math.min(...inForce.map(({ validTo }) => Date.parse(validTo)))),
  }
}

export function isSameClientCa(one: ClientCa, other: ClientCa): boolean {
  const asSet = (fingerprints: readonly string[]) => [...new Set(fingerprints)].toSorted().join()
  return (
    asSet(one.fingerprints) === asSet(other.fingerprints) &&
    asSet(one.accepted.map(fingerprint256)) === asSet(other.accepted.map(fingerprint256))
  )
}

// Threat: OpenSSL verified the chain, but it accepts every certificate below a trusted root.
// So if the file holds an intermediate, an accepted CA must have signed the client's certificate directly.
// Ignores the chain that the client sends: some versions of Node hide it, and no version verifies its signatures.
export function isAcceptedClient(
  certificate: X509Certificate,
  { fingerprints, accepted, acceptsAllUnderRoots }: ClientCa,
): boolean {
  // A CA certificate is not a client certificate.
  if (fingerprints.includes(fingerprint256(certificate))) return false
  return acceptsAllUnderRoots || accepted.some((issuer) => hasIssued(issuer, certificate))
}

interface CaFile {
  readonly all: readonly X509Certificate[]
  readonly now: Date
}

function objectionTo(certificate: X509Certificate, { all, now }: CaFile): string | undefined {
  if (!certificate.ca) {
    return "is not a CA certificate (CA:TRUE): use the certificate of the CA that signed your clients' certificates"
  }
  if (outsideValidity(certificate, now) !== undefined) return undefined
  // OpenSSL refuses every client whose chain does not end in a self-signed root.
  if (!all.some((issuer) => hasIssued(issuer, certificate))) {
    return 'was issued by a CA that is not in the file: add that CA too, and so on up to the self-signed root'
  }
  return undefined
}

function outsideValidity(
  { validFrom, validTo }: X509Certificate,
  now: Date,
): Pick<LeftOutCertificate, 'reason' | 'hint'> | undefined {
  const [notBefore, notAfter] = [new Date(validFrom), new Date(validTo)]
  if (notAfter <= now) {
    return {
      reason: `expired on ${notAfter.toISOString()}`,
      hint: 'remove it, or replace it with its renewed certificate',
    }
  }
  if (notBefore > now) {
    return {
      reason: `is not valid before ${notBefore.toISOString()}`,
      hint: "set this machine's clock if it is behind, or wait until then; then restart the sidecar",
    }
  }
  return undefined
}

// Repeats, because a removed certificate may have issued another certificate.
function withIssuers(certificates: readonly X509Certificate[]): readonly X509Certificate[] {
  const kept = certificates.filter((one) => certificates.some((issuer) => hasIssued(issuer, one)))
  return kept.length === certificates.length ? kept : withIssuers(kept)
}

function leftOutOf(certificate: X509Certificate, number: number, now: Date): LeftOutCertificate {
  const cause = outsideValidity(certificate, now) ?? {
    reason: 'was issued by a CA that is not valid now',
    hint: 'replace that CA first',
  }
  return { number, fingerprint: fingerprint256(certificate), ...cause }
}

function describeNoneUsable(leftOut: readonly LeftOutCertificate[]): string {
  const [first] = leftOut
  const which =
    first === undefined ? '' : `: certificate number ${first.number} ${first.reason}: ${first.hint}`
  return `holds no CA that is valid now and signs clients' certificates${which}`
}

// Ignores the same CA after its renewal: it has the same name, and its old key may have signed the new certificate.
function isEndOfChain(certificate: X509Certificate, all: readonly X509Certificate[]): boolean {
  return !all.some((other) => other.subject !== certificate.subject && hasIssued(certificate, other))
}

// Fails here, while the earlier CAs are still in force.
function assertOpenSslAccepts(pem: string, file: string): void {
  try {
    createSecureContext({ ca: pem })
  } catch (cause) {
    const reason = `OpenSSL rejects it (${errorMessage(cause)}): request a new certificate`
    throw new InvalidFileError(file, reason, { cause })
  }
}
