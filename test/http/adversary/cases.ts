// Defines a case of the adversary's table and its building blocks.

import { ALICE } from '../../fixtures/sidecar.ts'

/** A status, or the end of the connection with or without a refusal before it. */
export type Expected = number | 'end'

export interface AdversaryCase {
  readonly what: string
  /** One character per byte. */
  readonly bytes: string
  /** The answers in order. 200 comes from the registry, everything else from the sidecar. */
  readonly expected: readonly Expected[]
  /** The client ends its side, because no answer comes before that. */
  readonly halfCloses?: boolean
  /** The registry gets the head of an upload that is never completed. */
  readonly isCut?: boolean
}

/** Placeholder for the case's name, which identifies its requests at the upstream. */
export const NAME = 'CASE0'

export const AUTHORIZATION = `Basic ${Buffer.from(ALICE).toString('base64')}`
export const LOGIN = `Authorization: ${AUTHORIZATION}`
export const HOST = 'Host: localhost'
export const AGENT = `User-Agent: ${NAME}`
export const CHUNKED = 'Transfer-Encoding: chunked'

/** An unauthenticated request. No upstream may ever see this target, nor one with "stranger" in it. */
export const SMUGGLED = 'DELETE /v2/smuggled HTTP/1.1\r\nHost: localhost\r\nX: y\r\n\r\n'

export function head(requestLine: string, ...lines: readonly string[]): string {
  return `${[requestLine, ...lines].join('\r\n')}\r\n\r\n`
}

/** An authenticated request for `target`. */
export function get(target: string, ...lines: readonly string[]): string {
  return head(`GET ${target} HTTP/1.1`, HOST, LOGIN, AGENT, ...lines)
}

/** An authenticated upload with these header lines, followed by these bytes. */
export function put(lines: readonly string[], body = ''): string {
  return head('PUT /v2/a/blobs/uploads/1 HTTP/1.1', HOST, LOGIN, AGENT, ...lines) + body
}

export function chunkedPut(body: string): string {
  return put([CHUNKED], body)
}

export function refused(what: string, bytes: string, status = 400): AdversaryCase {
  return { what, bytes, expected: [status, 'end'] }
}

export function passes(what: string, bytes: string): AdversaryCase {
  return { what, bytes, expected: [200] }
}

/** The request is forwarded, and the connection ends with its answer. */
export function passesLast(what: string, bytes: string): AdversaryCase {
  return { what, bytes, expected: [200, 'end'] }
}

/** An upload whose head is forwarded before its body turns out malformed. */
export function cut(what: string, bytes: string): AdversaryCase {
  return { what, bytes, expected: ['end'], isCut: true }
}
