// Derives the keys of tokens from the stored key.
//
// Each use has a key of its own (RFC 5869), so that a value made for one use is worthless for another.

import { createHmac, createSecretKey, hkdfSync, type KeyObject } from 'node:crypto'

export interface TokenKeys {
  readonly signing: KeyObject
  /** Names the key in the head of a token. Reveals nothing about the key. */
  readonly id: string
  /**
   * Binds a token to the stored secret (such as a bcrypt hash) that its user proved. A token can be read by its holder,
   * so the fingerprint must not help to guess the password or to recognize a copy of the users file.
   */
  readonly fingerprintOf: (username: string, storedSecret: string) => string
}

const DERIVED_BYTES = 32
const ID_BYTES = 8
const FINGERPRINT_BYTES = 16

/** @param key 32 random bytes */
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
