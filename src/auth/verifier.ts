// Who is asking: credentials in, verdict out, at the same cost whether the name is known or not.

import type { Credentials } from './basic.ts'
import { isTooLong, type Comparison } from './bcrypt.ts'
import { decoyFor, decoysAfter, type UserTable } from './htpasswd.ts'
import type { VerifiedCache } from './verified-cache.ts'

export type RefusalReason = 'unknown user' | 'wrong password' | 'password too long' | 'entry changed'

/** The outcome of checking credentials. The reasons are for the log; a client is never told. */
export type Verdict =
  | { readonly kind: 'ok'; readonly username: string }
  | { readonly kind: 'refused'; readonly reason: RefusalReason }
  | { readonly kind: 'busy' }

export interface Verifier {
  verify(credentials: Credentials): Promise<Verdict>
}

export interface VerifierParts {
  /** The users in force; asked anew at each check. */
  readonly table: () => UserTable
  readonly cache: VerifiedCache
  readonly compare: (comparison: Comparison) => Promise<boolean | 'busy'>
}

export function createVerifier({ table, cache, compare }: VerifierParts): Verifier {
  async function verify({ username, password }: Credentials): Promise<Verdict> {
    // bcrypt ignores what follows 72 bytes: someone who knows a long password's beginning would get in. Refused
    // before the name is looked at, so the time tells nothing about it.
    if (isTooLong(password)) return { kind: 'refused', reason: 'password too long' }
    const users = table()
    const entry = users.entries.get(username)
    // An unknown name must take as long to refuse as a wrong password, or the time tells an attacker which names
    // exist. So it is compared with a hash that no password matches, of the highest cost in this table; and an
    // entry of lower cost is followed by decoys that make up the difference.
    const hash = entry?.hash ?? decoyFor(users)
    const decoys = entry === undefined ? [] : decoysAfter(users, entry)
    const outcome = await cache.verify({ username, hash, password }, () =>
      compare({ password, hash, decoys }),
    )
    if (outcome === 'busy') return { kind: 'busy' }
    if (entry === undefined) return { kind: 'refused', reason: 'unknown user' }
    // The check may have waited behind many others. A user who was removed meanwhile is out all the same.
    if (table().entries.get(username)?.hash !== hash) return { kind: 'refused', reason: 'entry changed' }
    return outcome ? { kind: 'ok', username } : { kind: 'refused', reason: 'wrong password' }
  }

  return { verify }
}
