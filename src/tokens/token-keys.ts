// Derives the keys of tokens from the stored key.
// Each use has its own key (RFC 5869), so a value made for one use is worthless for another.

import { createHmac, createSecretKey, hkdfSync, type KeyObject } from 'node:crypto'

export interface TokenKeys {
  readonly signing: KeyObject
  readonly id: string
  /** Threat: a token's holder reads this. It must not help to guess the password or to recognize the users file. */
  readonly fingerprintOf: (username: string, storedSecret: string) => string
}

const DERIVED_BYTES = 32
const ID_BYTES = 8
const FINGERPRINT_BYTES = 16

export function deriveTokenKeys(key: Buffer): TokenKeys {
  const derive = (use: string): Buffer =>
    Buffer.from(hkdfSync('sha256', key, '', `registry-sidecar token ${use} v1`, DERIVED_BYTES))
  const fingerprintKey = createSecretKey(derive('fingerprint'))
  return {
    signing: createSecretKey(derive('signing')),
    id: derive('id').subarray(0, ID_BYTES).toString('base64url'),
    fingerprintOf: (username, storedSecret) =>
      createHmac('sha256', fingerprintKey)
        // The length keeps name and secret apart, whatever they contain.
        .update(`${username.length}:${username}${storedSecret}`)
        .digest()
        .subarray(0, FINGERPRINT_BYTES)
        .toString('base64url'),
  }
}
