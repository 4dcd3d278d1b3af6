// Hashes and compares passwords with bcrypt.
// Worker threads load this file, because bcryptjs computes on the caller's event loop.
// After an update in place, the old main thread loads this file too. So keep the fields of `Comparison` and the result.

import { compareSync, hashSync, truncates } from 'bcryptjs'

export interface Comparison {
  readonly password: string
  readonly hashes: readonly string[]
  /** Compared only if no hash matched, so that every refusal costs the same. */
  readonly dummyHashes: readonly string[]
}

/** Returns an index of `hashes`, or -1. */
export default function compare({ password, hashes, dummyHashes }: Comparison): number {
  if (isTooLong(password)) return -1
  const index = hashes.findIndex((hash) => compareSync(password, hash))
  if (index < 0) for (const dummyHash of dummyHashes) compareSync(password, dummyHash)
  return index
}

export function hashPassword(password: string, cost: number): string {
  return hashSync(password, cost)
}

export function isTooLong(password: string): boolean {
  return truncates(password)
}
