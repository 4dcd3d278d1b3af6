// bcryptjs lives here and nowhere else. The file is also what the pool's worker threads load: bcryptjs's
// "async" functions compute on the event loop of whoever calls them, so the server never calls them itself.

import { compareSync, hashSync, truncates } from 'bcryptjs'

export interface Comparison {
  readonly password: string
  readonly hash: string
  /** Compared too, and ignored, when `hash` does not match: makes refusals cost the same whatever the entry's cost. */
  readonly decoys: readonly string[]
}

/** Whether the password belongs to the hash. Blocks its thread for as long as the hash's cost demands. */
export default function compare({ password, hash, decoys }: Comparison): boolean {
  if (compareSync(password, hash)) return true
  for (const decoy of decoys) compareSync(password, decoy)
  return false
}

/** A new entry's bcrypt string, `$2b$…`, at work factor `cost`. Blocks its thread. */
export function hashPassword(password: string, cost: number): string {
  return hashSync(password, cost)
}

/** bcrypt looks at the first 72 bytes only: whether this password has more. */
export function isTooLong(password: string): boolean {
  return truncates(password)
}
