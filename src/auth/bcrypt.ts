// bcryptjs lives here and nowhere else. The file is also what the pool's worker threads load: bcryptjs's
// "async" functions compute on the event loop of whoever calls them, so the server never calls them itself.

import { compareSync, hashSync, truncates } from 'bcryptjs'

export interface Comparison {
  readonly password: string
  /** The entry's own hash, then old ones that are still valid; none for an unknown name. */
  readonly hashes: readonly string[]
  /** Compared too, and ignored, when no hash matched: makes every refusal cost the same. */
  readonly decoys: readonly string[]
}

/**
 * The index of the hash that the password belongs to, or -1. Blocks its thread for as long as the costs of the hashes
 * demand. A password of over 72 bytes belongs to none: bcrypt would look at its beginning alone.
 */
export default function compare({ password, hashes, decoys }: Comparison): number {
  if (isTooLong(password)) return -1
  const index = hashes.findIndex((hash) => compareSync(password, hash))
  if (index < 0) for (const decoy of decoys) compareSync(password, decoy)
  return index
}

/** A new entry's bcrypt string, `$2b$…`, at work factor `cost`. Blocks its thread. */
export function hashPassword(password: string, cost: number): string {
  return hashSync(password, cost)
}

/** bcrypt looks at the first 72 bytes only: whether this password has more. */
export function isTooLong(password: string): boolean {
  return truncates(password)
}
