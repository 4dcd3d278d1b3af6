// Checks request targets, and decodes the colon of a digest.

import { refusal, type Refusal } from '../refusals.ts'

// Some clients encode the colon of a digest in the last segment, and registries serve that.
const ENCODED_DIGEST = /(\/(?:blobs|manifests|referrers)\/[A-Za-z0-9+._-]+)%3[Aa](?=[A-Za-z0-9=_-]+$)/

// Registry paths need no other characters. http-proxy reads "http:/" as a URL, so no colon may precede a slash.
const PROBLEM =
  /(?<=\/)(?<empty>\/)|(?<=\/)(?<dots>\.{1,2})(?=\/|$)|(?<encoded>%[0-9A-Fa-f]{2})|(?<colon>:)(?=\/)|(?<other>[^A-Za-z0-9._+=:/-])/

// Without "#", which starts a fragment for some parsers, and ";", which separates parameters before Go 1.17.
const QUERY = /^[\x21\x22\x24-\x3a\x3c-\x7e]*$/

// Upload state needs some 500 bytes. Most servers stop at 8 KiB, and some cut instead of refusing.
const MAX_TARGET_BYTES = 8 * 1024

/** Called once, before anything reads the target, because a target must never be decoded twice. */
export function decodeDigest(target: string): string {
  const { path, query } = split(target)
  return path.replace(ENCODED_DIGEST, '$1:') + query
}

/** Only origin form is valid (RFC 9112 §3.2.1), because servers disagree about "GET http://other/ HTTP/1.1". */
export function targetObjection(target: string): Refusal | undefined {
  if (target.length > MAX_TARGET_BYTES) {
    return refusal('targetTooLong', `the request target is longer than ${MAX_TARGET_BYTES} bytes`)
  }
  const { path, query } = split(target)
  if (!path.startsWith('/')) {
    return refusal('badRequest', 'the request target does not begin with a slash')
  }
  const problem = PROBLEM.exec(path)
  if (problem !== null) return refusal('badRequest', describe(problem))
  return QUERY.test(query.slice(1)) ? undefined : refusal('badRequest', 'malformed query')
}

function split(target: string): { readonly path: string; readonly query: string } {
  const mark = target.indexOf('?')
  return mark === -1
    ? { path: target, query: '' }
    : { path: target.slice(0, mark), query: target.slice(mark) }
}

// Threat: a line break in the client's text could end a log line, so the message repeats little of it.
function describe({ index, groups = {} }: RegExpExecArray): string {
  const { empty, dots, encoded, colon, other = '' } = groups
  if (empty !== undefined) return `the path has an empty segment at byte ${index} (a doubled slash)`
  if (dots !== undefined) return `the path has a segment "${dots}" at byte ${index}`
  if (colon !== undefined) return `the path has a colon before a slash at byte ${index}`
  if (encoded !== undefined) {
    return `the path has percent-encoding at byte ${index} (${encoded}); only the colon of a digest may be encoded`
  }
  const name = /[\x21-\x7e]/.test(other)
    ? `"${other}"`
    : `0x${other.charCodeAt(0).toString(16).padStart(2, '0')}`
  return `the path has the character ${name} at byte ${index}, which no registry path has`
}
