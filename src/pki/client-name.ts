// Reads the username from a client certificate.
//
// Threat: Node joins all names of a certificate into one string. A name with a comma or a line break looked like
// several names (CVE-2021-44532, CVE-2021-44533). So this file reads the DER bytes that the CA signed.

import { DER, extensionValues, readDer, within, type DerValue } from './der.ts'

export interface ClientNameRule {
  readonly kind: 'cn' | keyof typeof ALT_NAME_TAGS
  /** The text before and after the username. Absent: the whole field is the username. */
  readonly pattern?: { readonly before: string; readonly after: string }
}

export type ParsedClientNameRule =
  { readonly ok: true; readonly value: ClientNameRule } | { readonly ok: false; readonly reason: string }

/** A `reason` is safe to log: it never quotes the certificate. */
export type ClientName =
  { readonly ok: true; readonly name: string } | { readonly ok: false; readonly reason: string }

// GeneralName, RFC 5280 §4.2.1.6.
const ALT_NAME_TAGS = { email: 0x81, dns: 0x82, uri: 0x86 } as const

// Threat: if `*` matched a slash or a dot, a name of another domain or path would match the pattern.
const PART = { email: '[^@]+', dns: '[^.*]+', uri: '[^/?#]+' } as const

// The limit for names in the users file.
const MAX_LENGTH = 255

/** Parses `cn`, `email`, `dns` or `uri`. All except `cn` may have a pattern, as in `email:*@example.org`. */
export function parseClientNameRule(text: string): ParsedClientNameRule {
  const [, kind = '', pattern] = /^([a-z]+)(?::(.*))?$/s.exec(text) ?? []
  if (kind === 'cn' && pattern === undefined) return { ok: true, value: { kind } }
  if (kind !== 'email' && kind !== 'dns' && kind !== 'uri') {
    return {
      ok: false,
      reason: `"${text}": write cn, email, dns or uri; all except cn may have a pattern, as in email:*@example.org`,
    }
  }
  if (pattern === undefined) return { ok: true, value: { kind } }
  const [before = '', after, ...more] = (kind === 'dns' ? pattern.toLowerCase() : pattern).split('*')
  if (after === undefined || more.length > 0 || !/^[!-~]+$/.test(pattern) || pattern.length > MAX_LENGTH) {
    const reason = `"${text}": the pattern must have exactly one *, for the username; all else must be printable ASCII without blanks`
    return { ok: false, reason }
  }
  return { ok: true, value: { kind, pattern: { before, after } } }
}

/** Exactly one name must match the rule. With two, the client could choose its username. */
export function clientNameOf(certificate: Buffer, rule: ClientNameRule): ClientName {
  try {
    const names = rule.kind === 'cn' ? commonNames(certificate) : alternativeNames(certificate, rule.kind)
    const [name, ...others] = names.flatMap((one) => usernameIn(one, rule))
    const field = FIELDS[rule.kind]
    if (name === undefined) return refused(`no ${field} that matches SIDECAR_TLS_CLIENT_NAME`)
    if (others.length > 0) return refused(`more than one ${field} that matches SIDECAR_TLS_CLIENT_NAME`)
    return isPrintable(name) ? { ok: true, name } : refused(`a ${field} that is not a valid username`)
  } catch (error) {
    if (error instanceof AmbiguousNameError || error instanceof RangeError) return refused(error.message)
    throw error
  }
}

const FIELDS = {
  cn: 'common name',
  email: 'e-mail address',
  dns: 'DNS name',
  uri: 'URI',
} as const

/** The certificate holds a name that different readers could read differently. */
class AmbiguousNameError extends Error {}

function refused(reason: string): ClientName {
  return { ok: false, reason }
}

// Threat: control, invisible and direction characters make a name look like another name in a log.
function isPrintable(name: string): boolean {
  return name !== '' && name.length <= MAX_LENGTH && !/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u.test(name)
}

function usernameIn(name: string, { kind, pattern }: ClientNameRule): readonly string[] {
  if (pattern === undefined || kind === 'cn') return [name]
  const { before, after } = pattern
  if (name.length <= before.length + after.length) return []
  if (!name.startsWith(before) || !name.endsWith(after)) return []
  const part = name.slice(before.length, name.length - after.length)
  return new RegExp(`^${PART[kind]}$`, 's').test(part) ? [part] : []
}

const EXPLICIT_VERSION = 0xa0
const COMMON_NAME = Buffer.from([0x55, 0x04, 0x03]) // 2.5.4.3
const SUBJECT_ALT_NAME = Buffer.from([0x55, 0x1d, 0x11]) // 2.5.29.17

/** The fields of TBSCertificate without the optional version (RFC 5280 §4.1). */
function signedFields(certificate: Buffer): readonly DerValue[] {
  const [toBeSigned] = within(readDer(certificate)[0])
  return within(toBeSigned).filter(({ tag }) => tag !== EXPLICIT_VERSION)
}

// A subject may hold several common names, also within one relative distinguished name.
function commonNames(certificate: Buffer): readonly string[] {
  const subject = signedFields(certificate)[4]
  const attributes = within(subject).flatMap((relative) => within(relative).map((one) => within(one)))
  return attributes.flatMap(([type, value]) => {
    return type?.content.equals(COMMON_NAME) === true && value !== undefined ? [directoryString(value)] : []
  })
}

// The encodings of RFC 5280 §4.1.2.6. Programs read older encodings differently: OpenSSL reads T61 as Latin-1.
function directoryString({ tag, content }: DerValue): string {
  if (tag === DER.utf8String) return decodeUtf8(content)
  if (tag === DER.printableString || tag === DER.ia5String) return decodeAscii(content, 'common name')
  throw new AmbiguousNameError('a common name that is encoded neither as UTF-8 nor as ASCII')
}

function decodeUtf8(content: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(content)
  } catch {
    throw new AmbiguousNameError('a common name that is not valid UTF-8')
  }
}

function decodeAscii(content: Buffer, field: string): string {
  if (content.some((byte) => byte > 0x7f)) throw new AmbiguousNameError(`a ${field} that is not valid ASCII`)
  return content.toString('latin1')
}

function alternativeNames(certificate: Buffer, kind: keyof typeof ALT_NAME_TAGS): readonly string[] {
  const values = extensionValues(certificate, SUBJECT_ALT_NAME)
  if (values.length > 1) throw new AmbiguousNameError('two lists of alternative names')
  return within(values[0])
    .filter(({ tag }) => tag === ALT_NAME_TAGS[kind])
    .map(({ content }) => alternativeName(content, kind))
}

function alternativeName(content: Buffer, kind: keyof typeof ALT_NAME_TAGS): string {
  const text = decodeAscii(content, FIELDS[kind])
  if (!/^[!-~]+$/.test(text))
    throw new AmbiguousNameError(`a ${FIELDS[kind]} with blanks or control characters`)
  if (kind !== 'dns') return text
  if (text.includes('*')) throw new AmbiguousNameError('a DNS name with a wildcard')
  return text.toLowerCase()
}
