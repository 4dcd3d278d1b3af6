// Client CA: the authorities whose client certificates are accepted. Text in, a set that OpenSSL takes or an error out.

import type { X509Certificate } from 'node:crypto'
import { createSecureContext } from 'node:tls'

import { errorMessage, InvalidFileError } from '../errors/errors.ts'
import { fingerprint256, hasIssued } from './certificate.ts'
import { parseOwnChain } from './own-bundle.ts'

export interface ClientCa {
  /** The certificates in force, without what else the file holds. Never empty: without any, Node trusts the whole web's. */
  readonly pem: string
  /** SHA-256 of those in force, as `fingerprint256` gives it, in the order of the file. */
  readonly fingerprints: readonly string[]
  /** Those in force that issued no other of the file: the ends of its chains. Never empty. */
  readonly accepted: readonly X509Certificate[]
  /** Whether all roots in force are accepted themselves, and with them whatever stands under them. */
  readonly acceptsAllUnderRoots: boolean
  /** What stands in the file without being in force. */
  readonly leftOut: readonly LeftOut[]
  /** When the first of those in force ends. */
  readonly notAfter: Date
}

/** A certificate that the clock speaks against. */
export interface LeftOut {
  /** Its place in the file, from 1. */
  readonly number: number
  readonly fingerprint: string
  readonly reason: string
  readonly hint: string
}

export interface ClientCaOrigin {
  readonly file: string
  readonly now: Date
}

// All are listed to every client in every handshake.
const MAX_AUTHORITIES = 100

/**
 * Throws `InvalidFileError` unless each certificate is an authority, and OpenSSL would accept a client's under one of
 * them now. One whose time is over or to come is left out: were the file refused for it, an authority that somebody
 * takes out of the file would stay in force.
 */
export function parseClientCa(text: string, { file, now }: ClientCaOrigin): ClientCa {
  const { certificates } = parseOwnChain(text, file)
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
  const inForce = usable(certificates.filter((certificate) => untimely(certificate, now) === undefined))
  const leftOut = certificates.flatMap((certificate, index) =>
    inForce.includes(certificate) ? [] : [leftOutOf(certificate, index + 1, now)],
  )
  // Of the whole file: a root must not stand in for the intermediate under it that has expired.
  const accepted = inForce.filter((certificate) => isEnd(certificate, certificates))
  if (accepted.length === 0) throw new InvalidFileError(file, noneIsLeft(leftOut))
  const pem = inForce.map((certificate) => certificate.toString()).join('')
  tryToTrust(pem, file)
  return {
    pem,
    fingerprints: inForce.map(fingerprint256),
    accepted,
    acceptsAllUnderRoots: inForce.every((one) => !hasIssued(one, one) || accepted.includes(one)),
    leftOut,
    notAfter: new Date(Math.min(...inForce.map(({ validTo }) => Date.parse(validTo)))),
  }
}

/** Whether the same authorities are in force, in whatever order. */
export function isSameClientCa(one: ClientCa, other: ClientCa): boolean {
  const asSet = (fingerprints: readonly string[]) => [...new Set(fingerprints)].toSorted().join()
  return (
    asSet(one.fingerprints) === asSet(other.fingerprints) &&
    asSet(one.accepted.map(fingerprint256)) === asSet(other.accepted.map(fingerprint256))
  )
}

/**
 * Whether a client's certificate, in whose chain OpenSSL found no fault, is one of an accepted authority. OpenSSL follows
 * each chain to its root, and takes whatever stands under that: also what the root or a sibling of the accepted one signed.
 *
 * Where the file holds an intermediate, an end of the file must have signed the certificate itself. What the client sent
 * beside it is not looked at: some versions of Node do not tell, and none has checked the signatures of what it tells.
 */
export function isAcceptedClient(
  certificate: X509Certificate,
  { fingerprints, accepted, acceptsAllUnderRoots }: ClientCa,
): boolean {
  // An authority signs clients' certificates, and is no client.
  if (fingerprints.includes(fingerprint256(certificate))) return false
  return acceptsAllUnderRoots || accepted.some((issuer) => hasIssued(issuer, certificate))
}

interface Company {
  readonly all: readonly X509Certificate[]
  readonly now: Date
}

function objectionTo(certificate: X509Certificate, { all, now }: Company): string | undefined {
  if (!certificate.ca) {
    return "is no authority (CA:TRUE): put the certificate there that signed your clients' certificates, not one of theirs"
  }
  if (untimely(certificate, now) !== undefined) return undefined
  // OpenSSL follows a chain to a root that signs itself, and refuses every client whose chain ends before.
  if (!all.some((issuer) => hasIssued(issuer, certificate))) {
    return 'was issued by one that is not in the file: add that one too, up to the root that signs itself'
  }
  return undefined
}

interface Untimely {
  readonly reason: string
  readonly hint: string
}

function untimely({ validFrom, validTo }: X509Certificate, now: Date): Untimely | undefined {
  const [notBefore, notAfter] = [new Date(validFrom), new Date(validTo)]
  if (notAfter <= now) {
    return {
      reason: `expired on ${notAfter.toISOString()}`,
      hint: 'take it out, or put its renewed certificate in its place',
    }
  }
  if (notBefore > now) {
    return {
      reason: `is not valid before ${notBefore.toISOString()}`,
      hint: "set this machine's clock if it is behind, or wait till then; then restart the sidecar",
    }
  }
  return undefined
}

// One by one, since what falls away may have been the issuer of another.
function usable(certificates: readonly X509Certificate[]): readonly X509Certificate[] {
  const left = certificates.filter((one) => certificates.some((issuer) => hasIssued(issuer, one)))
  return left.length === certificates.length ? left : usable(left)
}

function leftOutOf(certificate: X509Certificate, number: number, now: Date): LeftOut {
  const cause = untimely(certificate, now) ?? {
    reason: 'was issued by one that is not valid now',
    hint: 'hint that one first',
  }
  return { number, fingerprint: fingerprint256(certificate), ...cause }
}

function noneIsLeft(leftOut: readonly LeftOut[]): string {
  const [first] = leftOut
  const which =
    first === undefined ? '' : `: certificate number ${first.number} ${first.reason}: ${first.hint}`
  return `holds no authority that is valid now and signs clients' certificates${which}`
}

// The same name again is the same authority: its renewed certificate, which the former key may have signed.
function isEnd(certificate: X509Certificate, all: readonly X509Certificate[]): boolean {
  return !all.some((other) => other.subject !== certificate.subject && hasIssued(certificate, other))
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
