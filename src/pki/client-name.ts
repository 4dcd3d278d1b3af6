// Client name: which user a client certificate stands for.
//
// Read from the bytes that the authority signed. Node's own texts (`subject`, `subjectAltName`) put all names into one
// string, and a name with a comma or a line break in it has posed as several before (CVE-2021-44532, CVE-2021-44533).

import { DER, extensionValues, readDer, within, type DerValue } from './der.ts'

/** Where in a certificate the user name stands. */
export interface ClientNameRule {
  readonly kind: 'cn' | keyof typeof ALT_NAME_TAGS
  /** What stands before and after the user name. Absent: the whole is the user name. */
  readonly pattern?: { readonly before: string; readonly after: string }
}

export type ParsedClientNameRule =
  { readonly ok: true; readonly value: ClientNameRule } | { readonly ok: false; readonly reason: string }

/** A `reason` is fit for a log: it never repeats what the certificate says. */
export type ClientName =
  { readonly ok: true; readonly name: string } | { readonly ok: false; readonly reason: string }

// GeneralName, RFC 5280 §4.2.1.6.
const ALT_NAME_TAGS = { email: 0x81, dns: 0x82, uri: 0x86 } as const

// The user name is one part of the whole: a star that went on over the next slash or dot would let a name that somebody
// chose for one place count in another.
const PART = { email: '[^@]+', dns: '[^.*]+', uri: '[^/?#]+' } as const

// As names in a users file go; the log has to bear it too.
const MAX_LENGTH = 255

/** `cn`, `email`, `dns` or `uri`, the last three also with a pattern: `email:*@example.org`. */
export function parseClientNameRule(text: string): ParsedClientNameRule {
  const [, kind = '', pattern] = /^([a-z]+)(?::(.*))?$/s.exec(text) ?? []
  if (kind === 'cn' && pattern === undefined) return { ok: true, value: { kind } }
  if (kind !== 'email' && kind !== 'dns' && kind !== 'uri') {
    return {
      ok: false,
      reason: `"${text}": write cn, email, dns or uri, the last three also with a pattern, as in email:*@example.org`,
    }
  }
  if (pattern === undefined) return { ok: true, value: { kind } }
  const [before = '', after, ...more] = (kind === 'dns' ? pattern.toLowerCase() : pattern).split('*')
  if (after === undefined || more.length > 0 || !/^[!-~]+$/.test(pattern) || pattern.length > MAX_LENGTH) {
    const reason = `"${text}": write exactly one * for the user name into the pattern, and printable ASCII without blanks around it`
    return { ok: false, reason }
  }
  return { ok: true, value: { kind, pattern: { before, after } } }
}

/**
 * The user name in a certificate, as DER. There must be exactly one that fits the rule: of two, somebody could choose.
 * Compared as written, DNS names in lower case.
 */
export function clientNameOf(certificate: Buffer, rule: ClientNameRule): ClientName {
  try {
    const names = rule.kind === 'cn' ? commonNames(certificate) : alternativeNames(certificate, rule.kind)
    const fitting = names.flatMap((name) => userNameIn(name, rule))
    const [name, ...others] = fitting
    if (name === undefined) return refused(`no ${WHAT[rule.kind]} that fits SIDECAR_TLS_CLIENT_NAME`)
    if (others.length > 0)
      return refused(`more than one ${WHAT[rule.kind]} that fits SIDECAR_TLS_CLIENT_NAME`)
    return isPlain(name) ? { ok: true, name } : refused(`a ${WHAT[rule.kind]} that is no user name`)
  } catch (error) {
    if (error instanceof NotTakenError || error instanceof RangeError) return refused(error.message)
    throw error
  }
}

const WHAT = {
  cn: 'common name',
  email: 'e-mail address',
  dns: 'DNS name',
  uri: 'URI',
} as const

/** Something in the certificate that we do not guess the meaning of. */
class NotTakenError extends Error {}

function refused(reason: string): ClientName {
  return { ok: false, reason }
}

// Controls, and characters that nobody sees or that turn the direction of writing: in a log they look like another name.
function isPlain(name: string): boolean {
  return name !== '' && name.length <= MAX_LENGTH && !/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u.test(name)
}

function userNameIn(name: string, { kind, pattern }: ClientNameRule): readonly string[] {
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

/** RFC 5280 §4.1: what is signed, without the version that may stand before the rest. */
function signedFields(certificate: Buffer): readonly DerValue[] {
  const [toBeSigned] = within(readDer(certificate)[0])
  return within(toBeSigned).filter(({ tag }) => tag !== EXPLICIT_VERSION)
}

// All of them: a relative distinguished name may hold several attributes, and a subject several of the same kind.
function commonNames(certificate: Buffer): readonly string[] {
  const subject = signedFields(certificate)[4]
  const attributes = within(subject).flatMap((relative) => within(relative).map((one) => within(one)))
  return attributes.flatMap(([type, value]) => {
    return type?.content.equals(COMMON_NAME) === true && value !== undefined ? [directoryString(value)] : []
  })
}

// What RFC 5280 §4.1.2.6 tells authorities to write. The older kinds have no one reading: OpenSSL and others take T61
// for Latin-1, which it is not.
function directoryString({ tag, content }: DerValue): string {
  if (tag === DER.utf8String) return decodeUtf8(content)
  if (tag === DER.printableString || tag === DER.ia5String) return decodeAscii(content, 'common name')
  throw new NotTakenError('a common name in an encoding that is neither UTF-8 nor ASCII')
}

function decodeUtf8(content: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(content)
  } catch {
    throw new NotTakenError('a common name that is not UTF-8 as it says')
  }
}

function decodeAscii(content: Buffer, what: string): string {
  if (content.some((byte) => byte > 0x7f)) throw new NotTakenError(`a ${what} that is not ASCII as it says`)
  return content.toString('latin1')
}

function alternativeNames(certificate: Buffer, kind: keyof typeof ALT_NAME_TAGS): readonly string[] {
  const values = extensionValues(certificate, SUBJECT_ALT_NAME)
  if (values.length > 1) throw new NotTakenError('alternative names twice')
  return within(values[0])
    .filter(({ tag }) => tag === ALT_NAME_TAGS[kind])
    .map(({ content }) => alternativeName(content, kind))
}

function alternativeName(content: Buffer, kind: keyof typeof ALT_NAME_TAGS): string {
  const text = decodeAscii(content, WHAT[kind])
  if (!/^[!-~]+$/.test(text)) throw new NotTakenError(`a ${WHAT[kind]} with blanks or control characters`)
  if (kind !== 'dns') return text
  if (text.includes('*')) throw new NotTakenError('a DNS name with a wildcard')
  return text.toLowerCase()
}
