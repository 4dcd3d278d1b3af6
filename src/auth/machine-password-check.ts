// Checks machine passwords.
//
// They need no bcrypt, no queue and no memory of earlier checks: each request computes one SHA-256. So a revoked or
// expired machine password ends with the next request.

import type { Verdict } from './verdict.ts'
import type { Credentials } from './basic.ts'
import type { Throttle } from './throttle.ts'
import { machinePasswordDigest } from '../users/machine-secret.ts'
import type { MachinePassword, UserTable } from '../users/user-table.ts'

export interface MachinePasswordCheckParts {
  readonly table: () => UserTable
  readonly throttle: Pick<Throttle, 'retryAfterMs' | 'failed'>
  /** Milliseconds since 1970. */
  readonly now: () => number
  /** Called for each request with a valid machine password. */
  readonly onUse: (used: MachinePassword) => void
}

/** Returns a function that checks credentials whose password has the form of a machine password. */
export function createMachinePasswordCheck({ table, throttle, now, onUse }: MachinePasswordCheckParts) {
  return function checkMachinePassword({ username, password }: Credentials, source: string): Verdict {
    const { machinePasswords, entries } = table()
    // The time of this lookup depends on the digest alone. Nobody can choose a digest, so the time shows nothing about the
    // stored ones, and it is the same for known and unknown users.
    const digest = machinePasswordDigest(password)
    const found = machinePasswords.get(digest)
    const own = found?.username === username ? found : undefined
    // Not throttled, because nobody can guess one. And it does not reset the count of wrong passwords for this name.
    // Threat: its holder could otherwise guess the password of the user, which allows more, without that limit.
    if (own !== undefined && now() < own.validUntil) {
      onUse(own)
      return { kind: 'ok', username, isOldPassword: false, hash: digest, machinePassword: own }
    }
    const retryAfterMs = throttle.retryAfterMs({ source, username })
    if (retryAfterMs > 0) return { kind: 'throttled', retryAfterMs }
    throttle.failed({ source, username })
    const reason = own === undefined ? 'wrong machine password' : 'machine password expired'
    return { kind: 'refused', reason, isKnown: entries.has(username) }
  }
}
