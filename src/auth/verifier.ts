// Checks credentials, at the same cost for known and unknown names.

import { shareInFlight } from '../async/in-flight.ts'
import type { AttemptOutcome, Attempts } from './attempts.ts'
import type { Credentials } from './basic.ts'
import { isTooLong, type Comparison } from './bcrypt.ts'
import { remainingDummyHashes } from '../users/dummy-hashes.ts'
import { hashesAt, type UserTable } from '../users/user-table.ts'
import { createKeyedDigest } from './keyed-digest.ts'
import type { Recollection, VerifiedCache } from './verified-cache.ts'

export type RefusalReason = 'unknown user' | 'wrong password' | 'password too long' | 'entry changed'

/** `reason` and `isKnown` are for the log; a client must not see them. */
export type Verdict =
  | {
      readonly kind: 'ok'
      readonly username: string
      readonly isOldPassword: boolean
      /** The stored hash that the password matches. A token is bound to it. */
      readonly hash: string
    }
  | {
      readonly kind: 'refused'
      readonly reason: RefusalReason
      /** An unknown name may be a password in the wrong field. */
      readonly isKnown: boolean
    }
  | { readonly kind: 'busy' }
  | { readonly kind: 'throttled'; readonly retryAfterMs: number }

export interface Verifier {
  verify(credentials: Credentials, source: string): Promise<Verdict>
}

export interface VerifierParts {
  readonly table: () => UserTable
  readonly cache: VerifiedCache
  readonly attempts: Pick<Attempts, 'run'>
  /** Milliseconds since 1970. */
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
    return hash === undefined || index < 0
      ? refuse('entry changed', username)
      : { kind: 'ok', username, isOldPassword: index > 0, hash }
  }

  function refuse(reason: RefusalReason, username: string): Verdict {
    return { kind: 'refused', reason, isKnown: table().entries.has(username) }
  }

  async function verify({ username, password }: Credentials, source: string): Promise<Verdict> {
    // Threat: bcrypt reads only 72 bytes. This check comes first, so that the time shows nothing about the name.
    if (isTooLong(password)) return refuse('password too long', username)
    const hashes = validHashes(username)
    const recall = (hash: string): Recollection => cache.recall({ source, username, password, hash })
    const recalled = hashes.map(recall)
    const remembered = recalled.indexOf('remembered')
    if (remembered >= 0) return accept(username, hashes[remembered])
    const dummyHashes = remainingDummyHashes(table().dummyHashes, hashes)
    // Threat: a throttled login runs no bcrypt check, so fewer lookups would show which names exist.
    dummyHashes.forEach(recall)
    // A flood from the same source must not prevent the next check of a password that it proved.
    const isProven = recalled.includes('lapsed')
    const comparison: Comparison = { password, hashes, dummyHashes }
    // Sources share no check: a right password must not be refused because a guessing source is throttled.
    // The hashes are part of the key, so an attempt after a change does not share an older check.
    const outcome = await share(
      () => attempts.run({ source, username, comparison, isProven }),
      digestOf([source, username, password, ...hashes, ...dummyHashes]),
    )
    if (outcome.kind === 'busy' || outcome.kind === 'throttled') return outcome
    // A user who was removed while the check waited must be refused.
    if (outcome.kind === 'unmatched') return refuse(reasonNow(username, hashes), username)
    const hash = hashes[outcome.index]
    if (hash !== undefined) cache.remember({ source, username, password, hash })
    return accept(username, hash)
  }

  function reasonNow(username: string, compared: readonly string[]): RefusalReason {
    const [entryHash] = compared
    if (table().entries.get(username)?.hash !== entryHash) return 'entry changed'
    return entryHash === undefined ? 'unknown user' : 'wrong password'
  }

  return { verify }
}
