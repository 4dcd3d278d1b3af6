// Checks credentials, at the same cost for known and unknown names.

import { shareInFlight } from '../async/in-flight.ts'
import type { AttemptOutcome, Attempts } from './attempts.ts'
import type { Credentials } from './basic.ts'
import { isTooLong, type Comparison } from './bcrypt.ts'
import { remainingDummyHashes } from '../users/dummy-hashes.ts'
import { hashesAt, type UserTable } from '../users/user-table.ts'
import { isMachinePassword } from '../users/machine-passwords/machine-secret.ts'
import { createKeyedDigest } from './keyed-digest.ts'
import { createMachinePasswordCheck, type MachinePasswordCheckParts } from './machine-password-check.ts'
import type { RefusalReason, Verdict } from './verdict.ts'
import type { Recollection, VerifiedCache } from './verified-cache.ts'

export interface Verifier {
  verify(credentials: Credentials, source: string): Promise<Verdict>
}

export interface VerifierParts extends Pick<MachinePasswordCheckParts, 'throttle' | 'onUse'> {
  readonly table: () => UserTable
  readonly cache: VerifiedCache
  readonly attempts: Pick<Attempts, 'run'>
  /** Milliseconds since 1970. */
  readonly now?: () => number
  readonly onAccepted?: (means: 'remembered' | 'verified') => void
}

export function createVerifier(parts: VerifierParts): Verifier {
  const { table, cache, attempts, now = Date.now, onAccepted } = parts
  const checkMachinePassword = createMachinePasswordCheck({ ...parts, now })
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

  function reportIfOk(means: 'remembered' | 'verified', verdict: Verdict): Verdict {
    if (verdict.kind === 'ok') onAccepted?.(means)
    return verdict
  }

  function refuse(reason: RefusalReason, username: string): Verdict {
    return { kind: 'refused', reason, isKnown: table().entries.has(username) }
  }

  async function verify(credentials: Credentials, source: string): Promise<Verdict> {
    const { username, password } = credentials
    if (isMachinePassword(password)) return checkMachinePassword(credentials, source)
    // Threat: bcrypt reads only 72 bytes. This check comes first, so that the time shows nothing about the name.
    if (isTooLong(password)) return refuse('password too long', username)
    const hashes = validHashes(username)
    const recall = (hash: string): Recollection => cache.recall({ source, username, password, hash })
    const recalled = hashes.map(recall)
    const remembered = recalled.indexOf('remembered')
    if (remembered >= 0) return reportIfOk('remembered', accept(username, hashes[remembered]))
    const dummyHashes = remainingDummyHashes(table().dummyHashes, hashes)
    // Threat: a throttled login runs no bcrypt check, so fewer cache lookups would show which names exist.
    dummyHashes.forEach(recall)
    // A source is not throttled for a password that it proved, so a flood from its address cannot lock this user out.
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
    return reportIfOk('verified', accept(username, hash))
  }

  function reasonNow(username: string, compared: readonly string[]): RefusalReason {
    const [entryHash] = compared
    if (table().entries.get(username)?.hash !== entryHash) return 'entry changed'
    return entryHash === undefined ? 'unknown user' : 'wrong password'
  }

  return { verify }
}
