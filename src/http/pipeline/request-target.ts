// Checks request targets, and decodes the colon of a digest.

import { refusal, type Refusal } from '../refusals.ts'

// A digest as the last segment behind these words, its colon percent-encoded. Clients that encode path segments send
// it, and registries serve it.
const ENCODED_DIGEST = /(\/(?:blobs|manifests|referrers)\/[A-Za-z0-9+._-]+)%3[Aa](?=[A-Za-z0-9=_-]+$)/

// Names, tags, digests and upload ids hold no other characters, so nothing else needs decoding. A colon never stands
// before a slash: http-proxy would read "http:/" as a URL.
const PROBLEM =
  /(?<=\/)(?<empty>\/)|(?<=\/)(?<dots>\.{1,2})(?=\/|$)|(?<encoded>%[0-9A-Fa-f]{2})|(?<colon>:)(?=\/)|(?<other>[^A-Za-z0-9._+=:/-])/

// Printable ASCII without "#", which starts a fragment for some parsers, and without ";", which separates parameters
// for registries built with a Go before 1.17 and makes later ones drop the parameter. Clients encode both.
const QUERY = /^[\x21\x22\x24-\x3a\x3c-\x7e]*$/

// The longest target of registry clients carries an upload's state, some 500 bytes. Most servers stop at 8 KiB, and what
// one cuts another may read whole.
const MAX_TARGET_BYTES = 8 * 1024

/**
 * Decodes the colon of a digest in the target's path. Called once, before anything reads the target, because no part may
 * decode a target that another part has decoded.
 */
export function decodeDigest(target: string): string {
  const { path, query } = split(target)
  return path.replace(ENCODED_DIGEST, '$1:') + query
}

/**
 * Returns the refusal of an invalid target, or undefined. Only origin form is valid (RFC 9112 §3.2.1): for
 * "GET http://other/ HTTP/1.1" some servers believe the target, others Host.
 */
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

// Bytes count from 0. The message repeats only one printable ASCII character or one encoded byte of the path, so the
// client cannot end a line or an answer with it.
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
