// Proves that a client knows the status key.
//
// Threat: while the sidecar is down, a program of another user listens on its admin port. It would get the key from `top`.
// With a proof it gets nothing that lasts.

import { createHmac, timingSafeEqual } from 'node:crypto'

export interface ProvenRequest {
  readonly path: string
  /** Milliseconds since 1970. */
  readonly now: number
}

// Client and sidecar use the clock of the same machine.
const VALID_MS = 10_000

/** Returns a bearer token that is valid for 10 s and for this path. */
export function proofOf(key: string, { path, now }: ProvenRequest): string {
  return `${now}.${macOf(key, path, String(now)).toString('base64url')}`
}

export function isProof(token: string, key: string, { path, now }: ProvenRequest): boolean {
  const [time = '', sent = ''] = token.split('.')
  const [mac, sentMac] = [macOf(key, path, time), Buffer.from(sent, 'base64url')]
  const isRecent = Math.abs(now - Number(time)) <= VALID_MS
  return isRecent && mac.length === sentMac.length && timingSafeEqual(mac, sentMac)
}

function macOf(key: string, path: string, time: string): Buffer {
  return createHmac('sha256', key).update(`${path} ${time}`).digest()
}
