// Who is asking: credentials in, verdict out, at the same cost whether the name is known or not.

import { shareInFlight } from '../async/in-flight.ts'
import type { AttemptOutcome, Attempts } from './attempts.ts'
import type { Credentials } from './basic.ts'
import { isTooLong, type Comparison } from './bcrypt.ts'
import { remainingDummyHashes } from '../users/dummy-hashes.ts'
import { hashesAt, type UserTable } from '../users/htpasswd.ts'
import { createKeyedDigest } from './keyed-digest.ts'
import type { Recollection, VerifiedCache } from './verified-cache.ts'

export type RefusalReason = 'unknown user' | 'wrong password' | 'password too long' | 'entry changed'

/** The outcome of checking credentials. Reason and `isKnown` are for the log; a client is never told. */
export type Verdict =
  | {
      readonly kind: 'ok'
      readonly username: string
      /** It was changed, and is valid for a while yet: `user passwd --keep-old`. */
      readonly isOldPassword: boolean
    }
  | {
      readonly kind: 'refused'
      readonly reason: RefusalReason
      /** Whether the table has the name. One it does not have may be a password in the wrong field. */
      readonly isKnown: boolean
    }
  | { readonly kind: 'busy' }
  | { readonly kind: 'throttled'; readonly retryAfterMs: number }

export interface Verifier {
  /** @param source where they come from, as `sourceOf` names it */
  verify(credentials: Credentials, source: string): Promise<Verdict>
}

export interface VerifierParts {
  /** The users in force; asked anew at each check. */
  readonly table: () => UserTable
  readonly cache: VerifiedCache
  readonly attempts: Pick<Attempts, 'run'>
  /** Milliseconds since 1970, which the ends of old passwords are told in. */
  readonly now?: () => number
}

export function createVerifier({ table, cache, attempts, now = Date.now }: VerifierParts): Verifier {
  const share = shareInFlight<AttemptOutcome>()
  const digestOf = createKeyedDigest()

  function validHashes(username: string): readonly string[] {
    const entry = table().entries.get(username)
    return entry === undefined ? [] : hashesAt(entry, now())
  }

  function accept(username: string, hash: string | undefined): Verdict {
    const index = hash === undefined ? -1 : validHashes(username).indexOf(hash)
    return index < 0 ? refuse('entry changed', username) : { kind: 'ok', username, isOldPassword: index > 0 }
  }

  function refuse(reason: RefusalReason, username: string): Verdict {
    return { kind: 'refused', reason, isKnown: table().entries.has(username) }
  }

  async function verify({ username, password }: Credentials, source: string): Promise<Verdict> {
    // bcrypt ignores what follows 72 bytes: someone who knows a long password's beginning would get in. Refused
    // before anything is computed for the name, so the time tells nothing about it.
    if (isTooLong(password)) return refuse('password too long', username)
    const hashes = validHashes(username)
    const recall = (hash: string): Recollection => cache.recall({ source, username, password, hash })
    const recalled = hashes.map(recall)
    const remembered = recalled.indexOf('remembered')
    if (remembered >= 0) return { kind: 'ok', username, isOldPassword: remembered > 0 }
    const decoys = remainingDummyHashes(table().dummyHashes, hashes)
    // Decoys are looked up too, which nobody ever had: a name that has no hash, or fewer, must not be refused faster.
    // The bcrypt does not cover that up when the throttle lets none happen.
    decoys.forEach(recall)
    // Proved here a while ago: the bcrypt is due again, and a flood from the same source must not keep it from happening.
    const isProven = recalled.includes('lapsed')
    const comparison: Comparison = { password, hashes, decoys }
    // Equal attempts are one, but only from one source: a user who sends the right password while an attacker guesses
    // it must not be told that the attacker has to wait. Hashes are a part, so that whoever comes after a change of
    // the entry does not share with whoever came before.
    const outcome = await share(
      () => attempts.run({ source, username, comparison, isProven }),
      digestOf([source, username, password, ...hashes, ...decoys]),
    )
    if (outcome.kind === 'busy' || outcome.kind === 'throttled') return outcome
    // The check may have waited behind many others. A user who was removed meanwhile is out all the same.
    if (outcome.kind === 'unmatched') return refuse(reasonNow(username, hashes), username)
    const hash = hashes[outcome.index]
    if (hash !== undefined) cache.remember({ source, username, password, hash })
    return accept(username, hash)
  }

  function reasonNow(username: string, compared: readonly string[]): RefusalReason {
    const [own] = compared
    if (table().entries.get(username)?.hash !== own) return 'entry changed'
    return own === undefined ? 'unknown user' : 'wrong password'
  }

  return { verify }
}
