// Hashes and compares passwords with bcrypt.
//
// No other file imports bcryptjs. Worker threads load this file, because the "async" functions of bcryptjs compute on
// the caller's event loop.

import { compareSync, hashSync, truncates } from 'bcryptjs'

export interface Comparison {
  readonly password: string
  /** The hash of the entry, then old hashes that are still valid. Empty for an unknown name. */
  readonly hashes: readonly string[]
  /** Dummy hashes. Compared and ignored if no hash matched, so that every refusal costs the same. */
  readonly decoys: readonly string[]
}

/**
 * Returns the index of the hash that matches the password, or -1. Blocks the thread. A password of over 72 bytes
 * matches no hash, because bcrypt reads only its first 72 bytes.
 */
export default function compare({ password, hashes, decoys }: Comparison): number {
  if (isTooLong(password)) return -1
  const index = hashes.findIndex((hash) => compareSync(password, hash))
  if (index < 0) for (const decoy of decoys) compareSync(password, decoy)
  return index
}

/** Returns a bcrypt hash, `$2b$…`, at this cost. Blocks the thread. */
export function hashPassword(password: string, cost: number): string {
  return hashSync(password, cost)
}

/** Whether a password has more than the 72 bytes that bcrypt reads. */
export function isTooLong(password: string): boolean {
  return truncates(password)
}
