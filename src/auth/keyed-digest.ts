// A name for credentials that gives nothing away. The keys are made at start and die with the process: whoever gets a
// copy of the memory that holds such names has no list to try passwords against elsewhere.

import { hash, randomBytes } from 'node:crypto'

/** Makes a function from parts to a short text, the same for the same parts in this process alone. */
export function createKeyedDigest(): (parts: readonly string[]) => string {
  const inner = createKey()
  const outer = createKey()
  return (parts) => {
    // Lengths stand before the parts: without them user "a" with "b:c" would be user "a:b" with "c".
    const framed = parts.reduce((text, part) => `${text}${part.length}:${part}`, '')
    // Two keyed hashes, one in the other, are the construction that HMAC comes from (NMAC; RFC 2104 §6). Making an Hmac
    // object takes ten times as long, and this is done for each request.
    return hash('sha256', outer + hash('sha256', inner + framed, 'base64'), 'base64')
  }
}

// As text of one block of SHA-256 (64 bytes), so that the keyed state is as in HMAC.
function createKey(): string {
  return randomBytes(32).toString('hex')
}
