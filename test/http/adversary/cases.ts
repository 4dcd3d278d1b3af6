// What a case of the adversary's table is, and the words that cases are made of.

import { ALICE } from '../../fixtures/sidecar.ts'

/** A status; or the end of the connection, with or without a refusal before it. */
export type Expected = number | 'end'

export interface AdversaryCase {
  readonly what: string
  /** A byte a character. */
  readonly bytes: string
  /** What the sidecar answers, in order. 200 is the registry's answer, everything else our own. */
  readonly expected: readonly Expected[]
  /** The client ends its side, since nothing is to come before that. */
  readonly halfCloses?: boolean
  /** The registry has the head of an upload that never becomes whole. */
  readonly isCut?: boolean
}

/** Stands for the case's own name, so that each request that reaches the upstream is known to be its. */
export const NAME = 'CASE0'

export const AUTHORIZATION = `Basic ${Buffer.from(ALICE).toString('base64')}`
export const LOGIN = `Authorization: ${AUTHORIZATION}`
export const HOST = 'Host: localhost'
export const AGENT = `User-Agent: ${NAME}`
export const CHUNKED = 'Transfer-Encoding: chunked'

/** A request nobody let in. No upstream may ever see this target, nor one with "stranger" in it. */
export const SMUGGLED = 'DELETE /v2/smuggled HTTP/1.1\r\nHost: localhost\r\nX: y\r\n\r\n'

export function head(requestLine: string, ...lines: readonly string[]): string {
  return `${[requestLine, ...lines].join('\r\n')}\r\n\r\n`
}

/** An authenticated request for `target`. */
export function get(target: string, ...lines: readonly string[]): string {
  return head(`GET ${target} HTTP/1.1`, HOST, LOGIN, AGENT, ...lines)
}

/** An authenticated upload with these lines in its head, and these bytes behind it. */
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

/** It passes, and the connection ends with its answer. */
export function passesLast(what: string, bytes: string): AdversaryCase {
  return { what, bytes, expected: [200, 'end'] }
}

/** An upload whose head has passed before its body turns out malformed. */
export function cut(what: string, bytes: string): AdversaryCase {
  return { what, bytes, expected: ['end'], isCut: true }
}
